// What the documentation of clickhouse-go shows over HTTP (as Grafana's data source uses it), against one server.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func must(err error, what string) {
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

func options(address string, method clickhouse.CompressionMethod, user, password string) *clickhouse.Options {
	return &clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{address},
		Auth:        clickhouse.Auth{Database: "default", Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: method},
		Settings:    clickhouse.Settings{"max_execution_time": 60},
		DialTimeout: 10 * time.Second,
	}
}

func standard(address string, method clickhouse.CompressionMethod) {
	db := clickhouse.OpenDB(options(address, method, "default", ""))
	defer db.Close()
	must(db.Ping(), "ping")
	_, err := db.Exec("DROP TABLE IF EXISTS golang")
	must(err, "drop")
	_, err = db.Exec(`CREATE TABLE golang (id UInt64, name LowCardinality(String), at DateTime64(6, 'UTC'), tags Array(String), m Map(String, UInt8), n Nullable(Int32), u UUID)
		ENGINE = MergeTree ORDER BY id`)
	must(err, "create")
	tx, err := db.Begin()
	must(err, "begin")
	batch, err := tx.Prepare("INSERT INTO golang")
	must(err, "prepare")
	at := time.Date(2026, 11, 21, 8, 0, 0, 123456000, time.UTC)
	for i := 0; i < 1000; i++ {
		_, err = batch.Exec(uint64(i), "name", at, []string{"a", "b"}, map[string]uint8{"k": 1}, nil, "137068b0-3a6d-9e4b-91c4-9787a5af72e0")
		must(err, "append")
	}
	must(tx.Commit(), "commit")
	var n uint64
	var last time.Time
	var tags []string
	var empty sql.NullInt32
	must(db.QueryRow("SELECT count() FROM golang WHERE id >= ?", 500).Scan(&n), "count")
	must(db.QueryRow("SELECT at, tags, n FROM golang WHERE id = @id", clickhouse.Named("id", 7)).Scan(&last, &tags, &empty), "row")
	if n != 500 || !last.Equal(at) || len(tags) != 2 || empty.Valid {
		must(fmt.Errorf("%d %v %v %v", n, last, tags, empty), "values")
	}
}

func native(address string, method clickhouse.CompressionMethod) {
	conn, err := clickhouse.Open(options(address, method, "default", ""))
	must(err, "open")
	defer conn.Close()
	ctx := context.Background()
	must(conn.Ping(ctx), "native ping")
	rows, err := conn.Query(ctx, "SELECT number, toString(number) FROM numbers(1000000)")
	must(err, "stream")
	count := 0
	for rows.Next() {
		var number uint64
		var text string
		must(rows.Scan(&number, &text), "scan")
		count++
	}
	must(rows.Err(), "rows")
	if count != 1000000 {
		must(fmt.Errorf("%d rows", count), "stream")
	}
	parameters := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"n": "3", "s": "it's"}))
	var n uint8
	var s string
	must(conn.QueryRow(parameters, "SELECT {n:UInt8}, {s:String}").Scan(&n, &s), "parameters")
	if n != 3 || s != "it's" {
		must(fmt.Errorf("%d %q", n, s), "parameters")
	}
	if err := conn.QueryRow(ctx, "SELECT no_such_column").Scan(&n); err == nil {
		must(fmt.Errorf("no error"), "error")
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := conn.QueryRow(short, "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)").Scan(&n); err == nil {
		must(fmt.Errorf("no error"), "cancel")
	}
}

func reader(address string) {
	conn, err := clickhouse.Open(options(address, clickhouse.CompressionGZIP, "reader", "secret"))
	must(err, "open")
	defer conn.Close()
	var n uint64
	must(conn.QueryRow(context.Background(), "SELECT count() FROM access_log").Scan(&n), "reader")
	if err := conn.Exec(context.Background(), "DROP TABLE access_log"); err == nil {
		must(fmt.Errorf("no error"), "reader drops")
	}
}

func main() {
	address := os.Args[1]
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionGZIP, clickhouse.CompressionDeflate} {
		standard(address, method)
		native(address, method)
	}
	reader(address)
	fmt.Println("ok")
}

"""SQL that wants more than rows: every statement here is refused, or does no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serve.servers import Running

SECRET = "only-on-the-disk-4711"

READS_FILES = [
    "SELECT * FROM file('{file}', 'LineAsString')",
    "SELECT file('{file}')",
    "SELECT FILE('{file}')",
    "SELECT * FROM File('{file}', LineAsString)",
    "SELECT * FROM default.`{file}`",
    'SELECT * FROM `default`."{file}"',
    "SELECT count() FROM numbers(1) WHERE '{secret}' IN default.`{file}`",
    "SELECT '{secret}' IN (SELECT * FROM default.`{file}`)",
    "WITH x AS (SELECT * FROM default.`{file}`) SELECT * FROM x",
    "SELECT (SELECT any(c1) FROM default.`{file}`)",
    "DESCRIBE TABLE default.`{file}`",
    "DESCRIBE file('{file}')",
    "SHOW COLUMNS FROM `{file}` FROM default",
    "EXISTS TABLE default.`{file}`",
    "SHOW CREATE TABLE default.`{file}`",
    "EXPLAIN SELECT file('{file}')",
    "EXPLAIN AST SELECT file('{file}')",
    "EXPLAIN SYNTAX SELECT file('{file}')",
    "EXPLAIN ESTIMATE SELECT * FROM file('{file}')",
    "SELECT * FROM view(SELECT file('{file}'))",
    "SELECT arrayMap(x -> file(x), ['{file}'])",
    "SELECT if(file('{file}') LIKE '%', 1, 0)",
    "SELECT /* FORMAT */ file('{file}') -- FORMAT JSON",
    "SELECT 1; SELECT file('{file}')",
    "SELECT 1 FORMAT TSV; SELECT file('{file}')",
    "SELECT * FROM (SELECT * FROM file('{file}', LineAsString)) FORMAT JSON SETTINGS max_threads = 1",
    "SELECT 1 UNION ALL SELECT file('{file}')",
    "SELECT * FROM sqlite('{file}', 'x')",
    "SELECT * FROM filesystem('/etc')",
    "SELECT * FROM loop(default.`{file}`)",
    "SELECT * FROM merge('default', '.*')",
    "SELECT * FROM merge(REGEXP('.*'), '.*')",
    "SELECT * FROM iceberg('{file}')",
    "SELECT * FROM deltaLakeLocal('{file}')",
    "SELECT * FROM arrowstream('{file}')",
    "SELECT * FROM {{t:Identifier}}&t={file}&d=default",
    "SELECT * FROM {{d:Identifier}}.{{t:Identifier}}&t={file}&d=default",
    "SELECT filesystemAvailable(), filesystemCapacity()",
    "SELECT * FROM fuzzQuery('SELECT 1')",
    # A function by its name alone, which no syntax tree shows as one.
    "SELECT * APPLY(file) FROM (SELECT '{file}' AS p)",
    "SELECT * APPLY file FROM (SELECT '{file}' AS p)",
    "SELECT * APPLY(`file`) FROM (SELECT '{file}' AS p)",
    "SELECT COLUMNS('p') APPLY(FILE) FROM (SELECT '{file}' AS p)",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{file}' AS p)",
    "SELECT * APPLY(x -> x IN default.`{file}`) FROM (SELECT '{secret}' AS p)",
    "SELECT t.* EXCEPT (q) APPLY(file) FROM (SELECT '{file}' AS p, 1 AS q) AS t",
    "EXPLAIN QUERY TREE SELECT * APPLY(file) FROM (SELECT '{file}' AS p)",
    "SELECT arrayMap(file, ['{file}'])",
    "SELECT arrayExists(FILE, ['{file}'])",
    "WITH file AS g SELECT arrayMap(g, ['{file}'])",
    "SELECT arrayMap({{t:Identifier}}, ['{file}'])&t=file",
    # Conditions that the engine puts into a query of its own.
    "SHOW TABLES WHERE throwIf(1, file('{file}'))",
    "SHOW COLUMNS FROM access_log WHERE throwIf(1, file('{file}'))",
    "SHOW INDEX FROM access_log WHERE throwIf(1, file('{file}'))",
    "SHOW FUNCTIONS LIKE 'a' WHERE file('{file}')",
    "SHOW TABLES LIMIT length(file('{file}'))",
    "SELECT a FROM (SELECT 1 AS a) ORDER BY a WITH FILL INTERPOLATE (a AS file('{file}'))",
    "SELECT number FROM numbers(1) ORDER BY number WITH FILL FROM 0 TO length(file('{file}'))",
    "SELECT sum(number) OVER (ORDER BY number ROWS length(file('{file}')) PRECEDING) FROM numbers(2)",
    "SELECT sum(number) OVER w FROM numbers(2) WINDOW w AS (PARTITION BY file('{file}'))",
    "SELECT * REPLACE(file('{file}') AS a) FROM (SELECT 1 AS a)",
    "SELECT '{secret}' IN file('{file}', 'LineAsString')",
    "SELECT 1 QUALIFY file('{file}') = ''",
    # SQL in a text: what it is, the engine sees alone.
    "SELECT * FROM format(Values, 'a String', $$(file('{file}'))$$)",
    "SELECT * FROM format(Values, 'a String', $$(file('{file}'))$$) SETTINGS input_format_values_interpret_expressions = 1",
    "SELECT b FROM values('a String, b String ALIAS file(\\'{file}\\')', ('x'))",
    "SELECT b FROM VALUES(concat('a String, b String AL', 'IAS file(\\'{file}\\')'), ('x'))",
    "SELECT b FROM values({{t:String}}, ('x'))&t=a String, b String ALIAS file('{file}')",
    "SELECT * FROM format(JSONEachRow, 'a String, b String DEFAULT file(\\'{file}\\')', $${{\"a\":1}}$$)",
    "SELECT b FROM format(JSONEachRow, concat('a String, b String MATERIALIZED file(\\'{file}\\')'), $${{\"a\":1}}$$)",
    "SELECT arrayFold((a, x) -> file(x), ['{file}'], '')",
    "SELECT mapApply(file, map('a', '{file}'))",
    "SELECT * APPLY(toString) APPLY(file) FROM (SELECT '{file}' AS p)",
    "SELECT * FROM hop_between(since = file('{file}'), until = now())",
    "SELECT * FROM numbers(length(file('{file}')))",
    "SELECT 1 SETTINGS additional_result_filter = 'throwIf(1, file(\\'{file}\\'))'",
    "SELECT 1 FROM system.one SETTINGS additional_table_filters = {{'system.one': 'throwIf(1, file(\\'{file}\\'))'}}",
    "SELECT 1&additional_result_filter=throwIf(1, file('{file}'))",
    "SELECT * SETTINGS implicit_table_at_top_level = 'default.`{file}`'",
    "SELECT *&implicit_table_at_top_level=default.`{file}`",
    "SELECT 1 FROM numbers(1) SETTINGS filter = 'throwIf(1, file(\\'{file}\\'))'",
]
RUNS_PROGRAMS = [
    "SELECT * FROM executable('id', TSV, 'a String')",
    "SELECT * FROM python('x')",
    "SELECT * FROM Python(x)",
    "SELECT * FROM eval('import os')",
    "SELECT aiGenerate('x', 'y')",
    "SELECT * FROM input('a String')",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM numbers(10)",
    "SELECT trap('access context')",
    "SYSTEM SHUTDOWN",
    "SYSTEM KILL",
    "SYSTEM FLUSH LOGS",
    "SYSTEM DROP QUERY CACHE",
    "KILL QUERY WHERE 1",
    "KILL QUERY WHERE query_id = 'x'",
    "CREATE FUNCTION f AS x -> file(x)",
]
REACHES_OUT = [
    "SELECT * FROM url('http://127.0.0.1:{port}/ping', RawBLOB)",
    "SELECT * FROM URL('http://127.0.0.1:{port}/ping', RawBLOB)",
    "DESCRIBE url('http://127.0.0.1:{port}/ping')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/x', RawBLOB)",
    "SELECT * FROM s3Cluster('default', 'http://127.0.0.1:{port}/x')",
    "SELECT * FROM urlCluster('default', 'http://127.0.0.1:{port}/x')",
    "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
    "SELECT * FROM remoteSecure('127.0.0.1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM clusterAllReplicas('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:3306', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:5432', 'a', 'b', 'c', 'd')",
    "SELECT * FROM mongodb('127.0.0.1:27017', 'a', 'b', 'c', 'd', 'e String')",
    "SELECT * FROM redis('127.0.0.1:6379', 'k', 'k String')",
    "SELECT * FROM jdbc('jdbc:x', 'a', 'b')",
    "SELECT * FROM odbc('DSN=x', 'a', 'b')",
    "SELECT * FROM hdfs('hdfs://127.0.0.1/x')",
    "SELECT * FROM azureBlobStorage('x', 'y', 'z')",
    "SELECT * FROM gcs('http://127.0.0.1:{port}/x')",
    "SELECT * FROM bigquery('x')",
    "SELECT * FROM ytsaurus('http://127.0.0.1:{port}', '//x', 'a String')",
    "EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:3306', 'a', 'b', 'c', 'd') PARTITION BY x",
    "SELECT reverseDNSQuery('127.0.0.1')",
    "SELECT * FROM dictionary('x')",
    "SELECT dictGet('other.d', 'a', 1)",
    "SELECT arrayMap(dictGet, ['other.d'], ['a'], [1])",
    "SELECT * FROM format(AvroConfluent, 'a String', unhex('000000000102')) SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:{port}/x'",
    "SELECT * FROM format(AvroConfluent, 'a String', unhex('000000000102'))&format_avro_schema_registry_url=http://127.0.0.1:{port}/x",
]
OTHER_DATABASES = [
    "SELECT * FROM other.secrets",
    "SELECT 'x' IN other.secrets",
    "SELECT * FROM `other`.`secrets`",
    "SELECT * FROM secrets&database=other",
    "SELECT * FROM {{d:Identifier}}.secrets&d=other",
    "SELECT * FROM access_log AS a, other.secrets AS b",
    "SELECT joinGet('other.secrets', 'password', 1)",
    "SELECT hasColumnInTable('other', 'secrets', 'password')",
    "SELECT name FROM system.tables WHERE database = 'other'",
    "SELECT name FROM system.columns WHERE database = 'other'",
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'other'",
    "SHOW TABLES FROM other",
    "SHOW COLUMNS FROM other.secrets",
    "SHOW CREATE TABLE other.secrets",
    "DESCRIBE other.secrets",
    "EXISTS other.secrets",
    "CHECK TABLE other.secrets",
    "SELECT * FROM system.processes",
    "SELECT query FROM processes&database=system",
    "SHOW PROCESSLIST",
    "SELECT * FROM system.named_collections",
    "SELECT * FROM system.server_settings",
    "SELECT * FROM system.disks",
    "SELECT * FROM system.query_log",
    "SELECT * FROM system.user_query_log",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM system.errors",
    "SELECT * FROM system.dictionaries",
    "SELECT * FROM system.users",
    "SHOW GRANTS",
    "SELECT * FROM mergeTreeIndex('other', 'secrets')",
    "SHOW CREATE DATABASE other",
    "EXISTS DATABASE other",
    "SHOW INDEX FROM secrets FROM other",
    "SHOW FULL TABLES FROM other",
    "SHOW TABLES WHERE 'hunter2' IN other.secrets",
    "SELECT * APPLY(x -> x IN other.secrets) FROM (SELECT 'hunter2' AS p)",
    "SELECT 'x' GLOBAL NOT IN (other.secrets)",
    "SELECT globalNotNullIn('x', other.secrets)",
    "SELECT * FROM system.completions",
    "SELECT table_name FROM information_schema.key_column_usage WHERE table_schema = 'other'",
    "SELECT t.name FROM system.one AS a JOIN system.tables AS t ON 1 = 1 WHERE t.database = 'other'",
    "WITH x AS (SELECT * FROM system.columns) SELECT name FROM x WHERE database = 'other'",
]
CHANGES = [
    "INSERT INTO access_log (line) VALUES (1)",
    "INSERT INTO FUNCTION file('{new}', 'CSV', 'a Int8') VALUES (1)",
    "INSERT INTO access_log FROM INFILE '{file}' FORMAT CSV",
    "INSERT INTO access_log SELECT * FROM access_log",
    "SELECT 1 INTO OUTFILE '{new}'",
    "SELECT 1 INTO OUTFILE '{new}' FORMAT CSV",
    "SELECT 1 INTO/**/OUTFILE '{new}' TRUNCATE FORMAT CSV",
    "SHOW TABLES INTO OUTFILE '{new}'",
    "CREATE TABLE x (a Int8) ENGINE = File(CSV)",
    "CREATE TABLE x (a Int8) ENGINE = URL('http://127.0.0.1:{port}/', CSV)",
    "CREATE TABLE x (a Int8) ENGINE = Kafka SETTINGS kafka_broker_list = '127.0.0.1:1', kafka_topic_list = 'x', kafka_group_name = 'x', kafka_format = 'CSV'",
    "CREATE TABLE x (a Int8) ENGINE = Executable('id', TSV)",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE x (a Int8)",
    "CREATE TABLE x AS file('{file}')",
    "CREATE TABLE x (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = '/tmp/')",
    "CREATE VIEW v AS SELECT file('{file}')",
    "CREATE DATABASE x ENGINE = Filesystem('/etc')",
    "CREATE DATABASE x ENGINE = SQLite('{file}')",
    "CREATE DATABASE x ENGINE = MySQL('127.0.0.1:3306', 'a', 'b', 'c')",
    "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(FILE(PATH '{file}' FORMAT CSV)) LAYOUT(FLAT()) LIFETIME(1)",
    "CREATE TABLE x AS default.`{file}`",
    'CREATE TABLE x AS "d\\x65fault".`{file}`',
    "CREATE TABLE x (a String) ENGINE = Buffer('default', '{file}', 1, 1, 1, 1, 1, 1, 1)",
    "CREATE TABLE x (a String) ENGINE = Merge('default', '.*')",
    "CREATE TABLE x (a String) ENGINE = EmbeddedRocksDB(0, '/tmp') PRIMARY KEY a",
    "CREATE TABLE x (a String) ENGINE = Distributed('default', 'default', '{file}')",
    "CREATE MATERIALIZED VIEW x TO default.`{new}` AS SELECT 1",
    "CREATE NAMED COLLECTION x AS a = 1",
    "CREATE USER x",
    "ATTACH TABLE x FROM '/etc' (a Int8) ENGINE = MergeTree ORDER BY a",
    "ALTER TABLE access_log ADD COLUMN x String DEFAULT file('{file}')",
    "ALTER TABLE access_log DELETE WHERE 1",
    "ALTER TABLE access_log FREEZE",
    "DELETE FROM access_log WHERE 1",
    "DROP TABLE access_log",
    "DROP DATABASE logproc",
    "TRUNCATE TABLE ledger",
    "RENAME TABLE access_log TO x",
    "OPTIMIZE TABLE access_log FINAL",
    "BACKUP DATABASE logproc TO File('{new}')",
    "RESTORE DATABASE logproc FROM File('{new}')",
    "SET readonly = 0",
    "SET max_execution_time = 0",
    "USE other",
    "GRANT ALL ON *.* TO default",
    "EXECUTE AS default SELECT 1",
    "BEGIN TRANSACTION",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
    "SELECT 1&readonly=0",
    "SELECT 1&output_format_schema={new}",
    "SELECT 1&format_schema={file}",
    "SELECT 1&additional_table_filters={{}}",
    "SELECT 1 SETTINGS output_format_schema = '{new}'",
    "SELECT 1 SETTINGS max_threads = 1, `output_format_schema` = '{new}'",
    "SELECT 1 FORMAT TSV SETTINGS max_threads = 1, /* , */ output_format_schema = '{new}'",
    "SELECT * FROM (SELECT 1 SETTINGS format_schema_source = 'file', format_schema = '{file}')",
    # What the engine takes for a comment, a text or none, with a quote in it that would hide what follows.
    "SELECT 1 // '\nINTO OUTFILE $$ {new}$$ ; // '",
    "SELECT 1 // '\nINTO OUTFILE $${new}$$ FORMAT CSV; // '",
    "SELECT 1 /* /* */ ' */ INTO OUTFILE $${new}$$; -- '",
    "SELECT 1 // '\nSETTINGS format_schema = $${file}$$ // '",
    "SELECT 1 /* /* */ ' */ SETTINGS format_schema = $${file}$$ -- '",
    "INSERT INTO t_attacks // '\nFROM INFILE $${file}$$ // '\nSETTINGS max_threads = 1\nFORMAT LineAsString\n",
    "INSERT INTO t_attacks /* /* */ ' */ FROM INFILE $${file}$$ -- '\nSETTINGS max_threads = 1\nFORMAT LineAsString\n",
    "CREATE TABLE x AS default // '\n.`{file}` // '",
    "INSERT INTO t_attacks VALUES (file('{file}'))",
    "INSERT INTO t_attacks FORMAT Values (upper(file('{file}')))",
    "INSERT INTO t_attacks VALUES ('a'), (arrayMap(file, ['{file}'])[1])",
    "INSERT INTO t_attacks VALUES (file('{file}'))&input_format_values_interpret_expressions=1",
    "CREATE VIEW v AS SELECT * APPLY(file) FROM (SELECT '{file}' AS p)",
    "CREATE TABLE x ENGINE = Memory AS SELECT * APPLY(file) FROM (SELECT '{file}' AS p)",
    "ALTER TABLE t_attacks MODIFY TTL now() GROUP BY a SET b = file('{file}')",
    "CREATE TABLE x (d Date, a Int8, b String) ENGINE = MergeTree ORDER BY a TTL d GROUP BY a SET b = any(file('{file}'))",
    "DETACH DATABASE system -- default",
    "DROP DATABASE default",
    "RENAME DATABASE default TO x",
    "TRUNCATE ALL TABLES FROM information_schema -- default",
    "SELECT 1 AS `x\nFunction sum (children 1)`, file('{file}') AS `y)\n  Identifier z`",
]
"""What a read-only user may not do, and nobody may do to the machine."""
DANGEROUS_FOR_ALL = [
    s for s in CHANGES
    if any(word in s for word in ("file(", "FILE", "OUTFILE", "INFILE", "File(", "URL(", "Kafka", "Executable", "disk(", "Filesystem", "SQLite", "MySQL", "COLLECTION", "USER",
                                  "ATTACH", "FREEZE", "default", "Merge(", "RocksDB", "BACKUP", "RESTORE", "SET ", "USE ", "GRANT", "EXECUTE", "BEGIN", "_schema", "TEMPORARY", "sum", "file}"))
]  # fmt: skip


def ask(server: Running, statement: str, file: Path, user: str) -> tuple[int, str]:
    text = statement.format(file=file, secret=SECRET, port=server.port, new=file.with_name("new"))
    sql, *given = text.split("&")
    parameters = dict(g.split("=", 1) for g in given)
    for name in ("t", "d"):
        if name in parameters:
            parameters[f"param_{name}"] = parameters.pop(name)
    password = "" if user == "default" else "secret"
    answer = server.ask(sql, user=user, password=password, timeout=20, **parameters)
    return answer.status, answer.body.decode(errors="replace")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text(SECRET + "\n")
    return path


@pytest.fixture(scope="module", autouse=True)
def table(server: Running) -> None:
    server.value("CREATE TABLE t_attacks (a String, b String DEFAULT '') ENGINE = MergeTree ORDER BY a")


@pytest.mark.parametrize("statement", [*READS_FILES, *RUNS_PROGRAMS, *REACHES_OUT, *OTHER_DATABASES, *CHANGES])
def test_a_read_only_user_gets_nothing_but_rows_of_the_store(server: Running, file: Path, statement: str) -> None:
    status, text = ask(server, statement, file, "reader")

    harmless = status == 200 and text.strip() in {"", "0"}
    assert status >= 400 or harmless, text
    assert "Code:" in text or harmless
    assert (
        SECRET not in text.replace(statement.format(file=file, secret=SECRET, port=0, new=""), "") or "IN" in statement
    )
    assert "hunter2" not in text
    assert "Ok." not in text
    assert not file.with_name("new").exists()


@pytest.mark.parametrize(
    "statement", [*READS_FILES, *(s for s in RUNS_PROGRAMS if "KILL" not in s), *REACHES_OUT, *DANGEROUS_FOR_ALL]
)
def test_nobody_reaches_the_machine(server: Running, file: Path, statement: str) -> None:
    status, text = ask(server, statement, file, "default")

    assert status >= 400 or text.strip() in {"", "0"}, text
    assert not file.with_name("new").exists()


def test_the_attacks_changed_nothing(server: Running) -> None:
    assert server.value("SELECT count() FROM system.tables WHERE name = 'access_log'") == "1"
    assert server.value("SELECT count() FROM other.secrets") == "1"
    assert server.value("SELECT count() FROM access_log") == "0"
    assert server.value("SELECT count() FROM t_attacks") == "0"
    assert (
        server.value("SELECT count() FROM system.databases WHERE name IN ('default', 'system', 'information_schema')")
        == "3"
    )


def test_a_read_only_user_asks_what_a_dashboard_asks(server: Running) -> None:
    for sql in (
        "SELECT toStartOfMinute(timestamp) AS t, app, sum(weight), quantilesTDigest(0.5, 0.99)(duration_ms) FROM access_log GROUP BY t, app",
        "SELECT k8s_namespace, countIf(response_code >= 500), uniqCombined64(request_id), sumMapIf(extra2, 1) FROM (SELECT *, map('a', 1) AS extra2 FROM access_log) GROUP BY ALL",
        "SELECT * FROM traffic_1m WHERE minute > now() - INTERVAL 1 HOUR ORDER BY n DESC LIMIT 10",
        "SELECT a.app FROM access_log AS a LEFT JOIN ledger AS l ON a.file_id = l.file_id WHERE a.app IN (SELECT DISTINCT app FROM message_log)",
        "SELECT * FROM hop LIMIT 1",
        "SELECT * FROM hop_between(since = '2026-11-20 10:00:00', until = '2026-11-20 11:00:00')",
        "SELECT * FROM logproc.hop_between(since = '2026-11-20 10:00:00', until = '2026-11-20 11:00:00')",
        "SELECT number, lagInFrame(number) OVER (ORDER BY number) FROM numbers(10)",
        "WITH 5 AS n SELECT arrayMap(x -> x + n, range(3)), CASE WHEN n > 3 THEN 'a' ELSE 'b' END, n BETWEEN 1 AND 7, NOT n, -n, n IS NULL",
        "SELECT extract(path, '^/(\\\\w+)'), splitByChar('/', path)[2], path LIKE '/a%', (1, 'a').2, map('a', 1)['a'] FROM access_log",
        "SELECT name FROM system.tables WHERE database = 'logproc'",
        "SELECT name, type FROM system.columns WHERE database = 'logproc' AND table = 'access_log'",
        "SHOW TABLES", "DESCRIBE access_log", "SHOW CREATE TABLE access_log", "EXISTS access_log", "SHOW DATABASES", "EXPLAIN SELECT count() FROM access_log",
        "SELECT version(), timezone(), currentDatabase(), hostName(), uptime()",
        "SELECT * APPLY(toString) FROM access_log", "SELECT COLUMNS('_ms$') APPLY(max) APPLY(toString) FROM access_log", "SELECT arrayMap(upper, ['a'])",
        "SHOW TABLES LIKE 'access%' LIMIT 5", "SELECT $$ // ' /* $$, 1 /* a /* b */ c */ + 1 // it's", "SELECT a.path AS file FROM access_log AS a ORDER BY a.path",
        "SELECT DISTINCT ON (app) app FROM access_log", "SELECT columns('app') FROM access_log", "SELECT * EXCEPT (path) FROM access_log", "SELECT exists(SELECT 1)",
        "SELECT INTERVAL 1 DAY + now(), CAST(1 AS String), 1::UInt8, date_trunc('hour', now()), date_diff('hour', now(), now())",
        "SELECT grouping(app), app FROM access_log GROUP BY ROLLUP(app)", "SELECT * FROM generate_series(1, 3)", "SELECT * FROM values('a Int8', 1, 2)", "SELECT * FROM values((1, 'a'), (2, 'b'))",
    ):  # fmt: skip
        answer = server.ask(sql, user="reader", password="secret")
        assert answer.status == 200, (sql, answer.text)

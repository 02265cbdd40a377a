// What the documentation of @clickhouse/client shows, against one server. Prints one line of JSON for each check.
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Readable } from 'node:stream'
import assert from 'node:assert/strict'

const require = createRequire(pathToFileURL(process.env.CLIENT_FOLDER + '/'))
const { createClient } = require('@clickhouse/client')

const url = process.argv[2]
const base = { url, request_timeout: 60000 }

async function check(name, work) {
  try {
    await work()
    console.log(JSON.stringify({ name, ok: true }))
  } catch (error) {
    console.log(JSON.stringify({ name, ok: false, error: String(error?.stack ?? error) }))
  }
}

for (const compression of [{ request: false, response: false }, { request: true, response: true }]) {
  const client = createClient({ ...base, compression })
  const label = compression.response ? ' (gzip)' : ''

  await check('ping' + label, async () => {
    assert.equal((await client.ping()).success, true)
    assert.equal((await client.ping({ select: true })).success, true)
  })

  await check('select as JSON, JSONEachRow and CSV' + label, async () => {
    const rows = await client.query({ query: 'SELECT number FROM system.numbers LIMIT 5', format: 'JSONEachRow' })
    assert.deepEqual((await rows.json()).map((row) => Number(row.number)), [0, 1, 2, 3, 4])
    const whole = await (await client.query({ query: 'SELECT 42 AS answer;' })).json()
    assert.equal(whole.rows, 1)
    assert.equal(whole.data[0].answer, 42)
    const text = await (await client.query({ query: "SELECT 'a,b', 1", format: 'CSV' })).text()
    assert.equal(text, '"a,b",1\n')
  })

  await check('parameters' + label, async () => {
    const rows = await client.query({
      query: 'SELECT {a: Int32} AS a, {s: String} AS s, {l: Array(String)} AS l, {d: DateTime} AS d, {n: Nullable(Int8)} AS n, {m: Map(String, UInt8)} AS m',
      format: 'JSONEachRow',
      query_params: { a: -7, s: "it's\n\t\\ ✓", l: ["x'y", 'z'], d: new Date('2026-11-21T08:00:00Z'), n: null, m: { k: 1 } },
      clickhouse_settings: { session_timezone: 'UTC' },
    })
    assert.deepEqual(await rows.json(), [
      { a: -7, s: "it's\n\t\\ ✓", l: ["x'y", 'z'], d: '2026-11-21 08:00:00', n: null, m: { k: 1 } },
    ])
  })

  await check('command, insert of objects, arrays and streams, select back' + label, async () => {
    await client.command({ query: 'DROP TABLE IF EXISTS npm' })
    await client.command({
      query: 'CREATE TABLE npm (id UInt64, name String, tags Array(String)) ENGINE = MergeTree ORDER BY id',
      clickhouse_settings: { wait_end_of_query: 1 },
    })
    const result = await client.insert({
      table: 'npm',
      values: [{ id: '42', name: 'foo', tags: ['a'] }, { id: '43', name: 'b"ar', tags: [] }],
      format: 'JSONEachRow',
    })
    assert.equal(result.summary?.written_rows, '2')
    await client.insert({ table: 'npm', values: [[44, 'x', ['y']]], format: 'JSONCompactEachRow' })
    await client.insert({
      table: 'npm',
      values: Readable.from((function* () { for (let id = 100; id < 1100; id++) yield { id, name: 'n' + id, tags: [] } })(), { objectMode: true }),
      format: 'JSONEachRow',
    })
    await client.insert({ table: 'npm', values: Readable.from(['2000,"csv","[]"\n', '2001,"csv","[\'q\']"\n'], { objectMode: false }), format: 'CSV' })
    await client.exec({ query: "INSERT INTO npm (id, name, tags) VALUES (3000, 'values', [])" })
    const rows = await (await client.query({ query: 'SELECT count() AS n, sum(id) AS s FROM npm', format: 'JSONEachRow' })).json()
    assert.equal(String(rows[0].n), '1006')
    const back = await (await client.query({ query: 'SELECT * FROM npm WHERE id < 50 ORDER BY id', format: 'JSONEachRow' })).json()
    assert.equal(back[1].name, 'b"ar')
  })

  await check('headers of an answer' + label, async () => {
    const result = await client.query({ query: 'SELECT 1', format: 'JSON', query_id: 'my-own-id' })
    assert.equal(result.query_id, 'my-own-id')
    assert.equal(result.response_headers['x-clickhouse-format'], 'JSON')
    await result.close()
  })

  await check('one million rows as a stream' + label, async () => {
    const result = await client.query({ query: "SELECT number, concat('row ', toString(number)) AS s FROM numbers(1000000)", format: 'JSONEachRow' })
    let count = 0
    for await (const rows of result.stream()) count += rows.length
    assert.equal(count, 1000000)
  })

  await check('an abort ends the query' + label, async () => {
    const controller = new AbortController()
    const asked = client.query({ query: 'SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)', abort_signal: controller.signal, query_id: 'aborted' + label.length })
    setTimeout(() => controller.abort(), 300)
    await assert.rejects(asked, /aborted/)
  })

  await check('an error at once' + label, async () => {
    await assert.rejects(client.query({ query: 'SELECT no_such_column' }), (error) => error.code === '47' && error.type === 'UNKNOWN_IDENTIFIER')
    await assert.rejects(client.command({ query: 'SELEC' }), (error) => error.code === '62')
  })

  await check('an error in the middle of a stream' + label, async () => {
    const result = await client.query({
      query: "SELECT number, throwIf(number = 900000, 'too far') AS boom FROM numbers(1000000)",
      format: 'JSONEachRow',
      clickhouse_settings: { max_block_size: '1000' },
    })
    await assert.rejects(async () => { for await (const rows of result.stream()) void rows }, /too far/)
  })

  await client.close()
}

await check('sessions are accepted, and nothing is kept in them', async () => {
  const client = createClient({ ...base, session_id: 'my-session' })
  await (await client.query({ query: 'SELECT 1' })).json()
  await assert.rejects(client.command({ query: 'SET max_threads = 1' }), (error) => error.code === '497')
  await assert.rejects(client.command({ query: 'CREATE TEMPORARY TABLE t (a UInt8)' }), (error) => error.code === '497')
  await client.close()
})

await check('users', async () => {
  const reader = createClient({ ...base, username: 'reader', password: 'secret' })
  await (await reader.query({ query: 'SELECT count() FROM access_log' })).json()
  await assert.rejects(reader.insert({ table: 'npm', values: [{ id: 1 }], format: 'JSONEachRow' }), (error) => error.code === '164')
  await reader.close()
  const wrong = createClient({ ...base, username: 'reader', password: 'no' })
  await assert.rejects(wrong.query({ query: 'SELECT 1' }), (error) => error.code === '516')
  await wrong.close()
})

await check('a query is ended by its id', async () => {
  const client = createClient(base)
  const asked = client.query({ query: 'SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)', query_id: 'to-be-killed' })
  const refused = assert.rejects(asked, (error) => error.code === '394')
  await new Promise((resolve) => setTimeout(resolve, 500))
  await client.command({ query: "KILL QUERY WHERE query_id = 'to-be-killed' SYNC" })
  await refused
  await client.close()
})

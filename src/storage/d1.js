// Statements on a D1 database, with one crossing from Wasm and one back.

// Runs statements, `[sql, arguments]` each, in one transaction. Returns the rows of each, as JSON. Where they are counted,
// behind them one row for each statement: how many rows D1 says that it read and wrote, and so bills, and how long it took.
export async function run(db, statements, counted) {
  const prepared = statements.map(([sql, args]) => db.prepare(sql).bind(...args));
  const results = prepared.length === 1 ? [await prepared[0].all()] : await db.batch(prepared);
  const rows = results.map((result) => result.results);
  const count = ({ rows_read, rows_written, duration }) => [
    { read: rows_read, written: rows_written, micros: Math.round(1000 * (duration ?? 0)) },
  ];
  const counts = counted ? results.map(({ meta }) => count(meta)) : [];
  return JSON.stringify([...rows, ...counts]);
}

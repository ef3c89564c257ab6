// Statements on a D1 database, with one crossing from Wasm and one back.

// Runs statements, `[sql, arguments]` each, in one transaction. Returns the rows of each, as JSON.
export async function run(db, statements) {
  const prepared = statements.map(([sql, args]) => db.prepare(sql).bind(...args));
  const results = prepared.length === 1 ? [await prepared[0].all()] : await db.batch(prepared);
  return JSON.stringify(results.map((result) => result.results));
}

// Statements on a D1 database: one crossing there, one back with all rows.

// Runs statements, `[sql, arguments]` each, as one transaction; gives the rows of each, in JSON.
export async function run(db, statements) {
  const prepared = statements.map(([sql, args]) => db.prepare(sql).bind(...args));
  const results = prepared.length === 1 ? [await prepared[0].all()] : await db.batch(prepared);
  return JSON.stringify(results.map((result) => result.results));
}

-- Failed sign-ins of operators: per network, per account and network, per account. Whose account it is, and from where, is
-- known by digests alone. `operator_logins` is left to Workers of before.
CREATE TABLE operator_login_failures (
  minute INTEGER NOT NULL,           -- since 1970
  who    TEXT NOT NULL,              -- what is counted, and its digest
  tries  INTEGER NOT NULL,
  PRIMARY KEY (minute, who)
) STRICT, WITHOUT ROWID;

-- The networks that operators signed in from.
CREATE TABLE operator_login_networks (
  account TEXT NOT NULL,             -- digest of the address
  network TEXT NOT NULL,             -- digest
  at      INTEGER NOT NULL,
  PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX operator_login_networks_by_time ON operator_login_networks (at);

-- What plans allow of records and files: bounds by collection ('*' stands for every other one), records made in an
-- hour and in a month, bytes of files. -1 is no bound.
UPDATE plans SET limits = json_patch(limits, CASE id
  WHEN 'free' THEN '{"records":{"leads":1000,"campaigns":5,"agents":2,"*":100000},"records_per_hour":{"deployments":100,"workflows":50},"records_per_month":{"workflows":100},"storage_bytes":5368709120}'
  WHEN 'basic' THEN '{"records":{"leads":1000,"campaigns":5,"agents":2,"*":100000},"records_per_hour":{"deployments":100,"workflows":50},"records_per_month":{"workflows":100},"storage_bytes":1073741824}'
  WHEN 'pro' THEN '{"records":{"leads":10000,"campaigns":20,"agents":5,"*":1000000},"records_per_hour":{"deployments":100,"workflows":50},"records_per_month":{"workflows":10000},"storage_bytes":53687091200}'
  WHEN 'professional' THEN '{"records":{"leads":10000,"campaigns":20,"agents":5,"*":1000000},"records_per_hour":{"deployments":100,"workflows":50},"records_per_month":{"workflows":10000},"storage_bytes":10737418240}'
  ELSE '{"records":{"leads":-1,"campaigns":-1,"agents":-1,"*":-1},"records_per_hour":{"deployments":-1,"workflows":-1},"records_per_month":{"workflows":-1},"storage_bytes":107374182400}'
END);

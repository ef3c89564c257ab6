-- How many streams a hub may carry itself. Such a hub is awake as long as there is one, which the larger plans pay for.
UPDATE plans SET limits = json_set(limits, '$.direct_streams', CASE id
  WHEN 'free' THEN 0
  WHEN 'basic' THEN 0
  WHEN 'enterprise' THEN -1
  ELSE 2000
END);

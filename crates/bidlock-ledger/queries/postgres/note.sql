-- What counts under a name. $1 the name -> version, value, actor, time
SELECT version, value, actor, at_ms FROM bidlock.notes WHERE name = $1 ORDER BY version DESC LIMIT 1;

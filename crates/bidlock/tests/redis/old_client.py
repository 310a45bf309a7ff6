"""An old client: SET key holder NX EX ttl, GET, DEL; adds to a counter in a file under the lock.

    old_client.py PORT KEY FILE ROUNDS
"""
import random
import sys
import time

import redis

port, key, file, rounds = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
# The protocol that clients of that time speak.
client = redis.Redis(port=port, decode_responses=True, protocol=2)
holder = f"old-client:{random.random()}"
refused = 0
for _ in range(rounds):
    while not client.set(key, holder, nx=True, ex=300):
        refused += 1
        time.sleep(random.uniform(0.0005, 0.003))
    with open(file) as counter:
        seen = int(counter.read())
    time.sleep(0.0002)
    with open(file, "w") as counter:
        counter.write(str(seen + 1))
    if client.get(key) != holder:
        sys.exit("my lock was taken from me")
    client.delete(key)
print(refused)

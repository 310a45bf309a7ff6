"""An instance of a replaced system, made up: locks in Redis by SET NX EX, GET and DEL, bids in a table that is unique
per marketplace, job and status. Prints how many bids it sent.

    old_instance.py REDIS_PORT DATABASE MARKET_URL FEED SEED

DATABASE is a SQLite file or a PostgreSQL URL. What the market knows a posting by is its number; this system knows it
by what its feed writes.
"""
import json
import random
import sys
import time
import urllib.request
import uuid

import redis

port, database, market, feed, seed = sys.argv[1:]
dice = random.Random(int(seed))
client = redis.Redis(port=int(port), decode_responses=True)
holder = f"old-instance:{uuid.uuid4()}"
if "://" in database:
    import psycopg

    db, mark = psycopg.connect(database), "%s"
else:
    import sqlite3

    db, mark = sqlite3.connect(database, timeout=60), "?"


def run(sql, *values):
    cursor = db.cursor()
    cursor.execute(sql.replace("?", mark), values)
    return cursor


def should_bid(job):
    found = run("SELECT status FROM bids WHERE marketplace = ? AND job_id = ?", "upwork", job).fetchall()
    db.commit()
    return not found


def submit(job):
    key = str(uuid.uuid4())
    body = {"marketplace": "upwork", "posting_id": job.removeprefix("~02"), "bid_id": key, "idempotency_key": key,
            "amount": None, "proposal": "of an old instance", "posting_url": None}
    request = urllib.request.Request(f"{market}/bids", json.dumps(body).encode(), method="POST",
                                     headers={"Content-Type": "application/json", "Idempotency-Key": key})
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def bid(job):
    run("INSERT INTO bids (marketplace, job_id, status, proposal) VALUES (?, ?, 'PENDING', 'old')", "upwork", job)
    db.commit()
    submit(job)
    run("UPDATE bids SET status = 'SUBMITTED' WHERE marketplace = ? AND job_id = ? AND status = 'PENDING'", "upwork", job)
    db.commit()


jobs = [json.loads(line)["id"] for line in open(feed)]
dice.shuffle(jobs)
sent, rounds = 0, 0
while jobs and rounds < 50:
    rounds, held = rounds + 1, []
    for job in jobs:
        lock = f"bid_lock:upwork:{job}"
        if not client.set(lock, holder, nx=True, ex=300):
            held.append(job)
            continue
        if should_bid(job):
            # It prepares its proposal: the time in which another must not bid.
            time.sleep(dice.uniform(0, 0.01))
            bid(job)
            sent += 1
        if client.get(lock) == holder:
            client.delete(lock)
    jobs = held
    time.sleep(0.01)
print(sent)

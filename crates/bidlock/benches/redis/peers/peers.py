"""redis-py's Lock and python-redis-lock: peers.py PORT SCALE

64 threads with a key each for 2 s x SCALE; and three threads on one key that hold it for 5 ms.
"""
import statistics
import sys
import threading
import time

import redis
import redis_lock

port, scale = int(sys.argv[1]), float(sys.argv[2])
pool = redis.ConnectionPool(port=port, max_connections=200)


def client():
    return redis.Redis(connection_pool=pool)


def redis_py(name):
    return client().lock(name, timeout=300)


def python_redis_lock(name):
    return redis_lock.Lock(client(), name, expire=300)


def pairs(make, tasks):
    until = time.monotonic() + 2 * scale
    counts = [0] * tasks

    def work(task):
        while time.monotonic() < until:
            lock = make(f"peer:{task}")
            lock.acquire(blocking=False)
            lock.release()
            counts[task] += 1

    start = time.monotonic()
    run(work, tasks)
    return sum(counts) / (time.monotonic() - start)


def handover(make, tasks, rounds=10):
    state, took = {"released": None}, []

    def work(task):
        for _ in range(rounds):
            lock = make("peer:handover")
            lock.acquire()
            now = time.perf_counter()
            if state["released"] is not None and state["released"][0] != task:
                took.append(now - state["released"][1])
            time.sleep(0.005)
            state["released"] = (task, time.perf_counter())
            lock.release()

    run(work, tasks)
    return statistics.median(took) * 1000


def run(work, tasks):
    threads = [threading.Thread(target=work, args=(task,)) for task in range(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


for name, make in (("redis-py", redis_py), ("python-redis-lock", python_redis_lock)):
    print(f"{name}\tpairs\t{pairs(make, 64)}", flush=True)
    print(f"{name}\thandover\t{handover(make, 3)}", flush=True)

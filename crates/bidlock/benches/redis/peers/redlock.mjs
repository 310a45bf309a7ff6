// npm redlock: redlock.mjs PORT SCALE. 64 tasks with a key each; three tasks on one key that hold it for 5 ms.
import { createRequire } from "node:module";
const require = createRequire(import.meta.url);
const { default: Redlock } = require("redlock");
const { default: Redis } = require("ioredis");

const [port, scale] = [Number(process.argv[2]), Number(process.argv[3])];
const client = new Redis({ port });
const redlock = new Redlock([client], { retryCount: 10000, retryDelay: 200, retryJitter: 100 });
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function pairs(tasks) {
  let count = 0;
  const start = performance.now();
  const until = start + 2000 * scale;
  await Promise.all(
    Array.from({ length: tasks }, async (_, task) => {
      while (performance.now() < until) {
        const lock = await redlock.acquire([`peer:${task}`], 300000);
        await lock.release();
        count++;
      }
    }),
  );
  return count / ((performance.now() - start) / 1000);
}

async function handover(tasks, rounds = 10) {
  let released = null;
  const took = [];
  await Promise.all(
    Array.from({ length: tasks }, async (_, task) => {
      for (let round = 0; round < rounds; round++) {
        const lock = await redlock.acquire(["peer:handover"], 300000);
        if (released !== null && released[0] !== task) took.push(performance.now() - released[1]);
        await sleep(5);
        released = [task, performance.now()];
        await lock.release();
      }
    }),
  );
  took.sort((a, b) => a - b);
  return took[Math.floor(took.length / 2)];
}

console.log(`npm redlock\tpairs\t${await pairs(64)}`);
console.log(`npm redlock\thandover\t${await handover(3)}`);
client.disconnect();

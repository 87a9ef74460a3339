// Fetches the exact bytes and verifies them, away from the page.
import { chunksOf, linesOf } from "./fetched.js";
import { parseKey, verify } from "./verifier.js";

addEventListener("message", async (event) => {
  const { log, checkpoints, changes, key, remembered } = event.data;
  try {
    const lines = await linesOf(checkpoints);
    // Where keys were replaced, the root of the tree by then is wanted; the log itself is believed in all.
    const told = key ? (await (await fetch(changes)).json()).records ?? [] : [];
    const begun = performance.now();
    const found = await verify({
      chunks: chunksOf(log),
      checkpoints: lines,
      key: key ? await parseKey(key) : null,
      remembered,
      sizes: told.map((one) => one?.fields?.size).filter(Number.isSafeInteger),
      progress: (records) => postMessage({ records }),
    });
    postMessage({ found, seconds: (performance.now() - begun) / 1000 });
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
});

// Fetches the exact bytes and verifies them, away from the page.
import { chunksOf, linesOf } from "./fetched.js";
import { parseKey, verify } from "./verifier.js";

addEventListener("message", async (event) => {
  const { log, checkpoints, key, remembered } = event.data;
  try {
    const lines = await linesOf(checkpoints);
    const begun = performance.now();
    const found = await verify({
      chunks: chunksOf(log),
      checkpoints: lines,
      key: key ? await parseKey(key) : null,
      remembered,
      progress: (records) => postMessage({ records }),
    });
    postMessage({ found, seconds: (performance.now() - begun) / 1000 });
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
});

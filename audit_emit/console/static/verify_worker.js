// Fetches the exact bytes and verifies them, away from the page.
import { chunksOf, declaredIn, linesOf } from "./fetched.js";
import { parseKey } from "./signatures.js";
import { verify } from "./verifier.js";

addEventListener("message", async (event) => {
  const { log, checkpoints, declared, key, remembered } = event.data;
  try {
    const lines = await linesOf(checkpoints);
    const { removals, sizes } = await declaredIn(declared);
    const begun = performance.now();
    const found = await verify({
      chunks: chunksOf(log),
      checkpoints: lines,
      key: key ? await parseKey(key) : null,
      remembered,
      removals,
      sizes,
      progress: (records) => postMessage({ records }),
    });
    postMessage({ found, seconds: (performance.now() - begun) / 1000 });
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
});

// Fetches the exact bytes and checks an attestation against them, away from the page.
import { check } from "./attested.js";
import { parseKey } from "./signatures.js";
import { chunksOf, declaredIn, linesOf } from "./fetched.js";

addEventListener("message", async (event) => {
  const { log, checkpoints, declared, key, text } = event.data;
  try {
    const progress = (records) => postMessage({ records });
    const { removals } = await declaredIn(declared);
    const found = await check({
      removals, text, progress, key: await parseKey(key), chunks: chunksOf(log), checkpoints: await linesOf(checkpoints),
    });
    postMessage({ found });
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
});

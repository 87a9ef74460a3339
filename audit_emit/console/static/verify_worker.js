// Fetches the exact bytes and verifies them, away from the page.
import { parseKey, verify } from "./verifier.js";

async function* chunksOf(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

addEventListener("message", async (event) => {
  const { log, checkpoints, key, remembered } = event.data;
  try {
    const answer = await fetch(checkpoints);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const begun = performance.now();
    const found = await verify({
      chunks: chunksOf(log),
      checkpoints: (await answer.json()).checkpoints,
      key: key ? await parseKey(key) : null,
      remembered,
      progress: (records) => postMessage({ records }),
    });
    postMessage({ found, seconds: (performance.now() - begun) / 1000 });
  } catch (error) {
    postMessage({ error: String(error.message ?? error) });
  }
});

// What the workers fetch: the bytes of the log, and its checkpoints.
import { t } from "../messages.js";

export async function* chunksOf(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(t("answered", { status: answer.status }));
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

export async function linesOf(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(t("answered", { status: answer.status }));
  return (await answer.json()).checkpoints;
}

// The records of a log that say something of the log itself, oldest first: where it may begin later
// than with its first record, and which trees its changes of key were made for. They are believed in
// nothing: the verifier judges them as the log has them.
export async function declaredIn(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(t("answered", { status: answer.status }));
  const records = ((await answer.json()).records ?? []).reverse();
  const of = (type) => records.filter((one) => one?.event_type === type && one.fields !== null && typeof one.fields === "object");
  return {
    removals: of("audit.pruned"),
    sizes: of("audit.key_rotated").map((one) => one.fields.size).filter(Number.isSafeInteger),
  };
}

"""Verify an audit log with the standard library alone; see wire-format.md (exit status: section 7).
usage: verify_chain.py DIRECTORY [FILE WITH A HEX KEY]...   files must have the names of section 4
It needs every HMAC key, those that were retired too; it has no Ed25519: that is key-unavailable."""
import base64, hashlib, hmac, io, json, re, sys
from datetime import datetime; from pathlib import Path
LINK = re.compile(rb'.*,"chain":"([0-9a-f]{16})","seq":([1-9][0-9]{0,18})'
                  rb',"prev_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}', re.DOTALL)
POINT = re.compile(rb'{"v":[12],"at":"\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d{9}Z","origin":"'
    rb'[!#-*,-[\]-~]{1,255}","chain":"[\da-f]{16}","head_seq":[1-9]\d{0,18},"head_hash":"[\da-f]{64}",'
    rb'"root_hash":"[\da-f]{64}","reason":"(startup|interval|threshold|manual|shutdown|rotation)","sig_alg":"'
    rb'[a-z][a-z\d-]{0,31}","key_id":"[\da-f]{8}"(,"(co)?signature":"([A-Za-z\d+/]{4})*([A-Za-z\d+/]'
    rb'([AQgw]==|[A-Za-z\d+/][AEIMQUYcgkosw048]=))?"){1,2}}\n')
sha = lambda data: hashlib.sha256(data).digest()
lines_of = lambda path: enumerate(io.BytesIO(path.read_bytes() if path.exists() else b""), 1)
signs = lambda key, made, *lines: hmac.compare_digest(f"{made}".encode(), base64.b64encode(
    hmac.digest(key, "".join(f"{line}\n" for line in lines).encode(), "sha256")))
def timed(point, key, *lines):  # whether the time is signed, too (section 6)
    data, at = base64.b64decode(point["cosignature"]), point["at"][:19] + "+00:00"
    try: seconds = int(datetime.fromisoformat(at).timestamp())
    except ValueError: return False
    made, lines = base64.b64encode(data[12:]).decode(), (f"time {seconds}", *lines)
    named = bytes.fromhex(point["key_id"]) + max(0, seconds).to_bytes(8, "big")
    return data[:12] == named and signs(key, made, "cosignature/v1", *lines)
def parse(line):
    try: return {**json.loads(line)}
    except (TypeError, ValueError, RecursionError): return {}
def read_checkpoints(path, keys, report):  # {size: [(checkpoint, place)]}, and the keys by name
    ring, missing, points, last = {sha(key).hex()[:8]: key for key in keys}, {}, {}, {}
    for number, line in lines_of(path):
        point, where = parse(line), f"{path.name}:{number}"
        sized = {"ed25519": 104, "hmac-sha256": 60}.get(point.get("sig_alg"))  # of base64
        if not POINT.fullmatch(line) or ("cosignature" in point) is not (point["v"] > 1) or (
                point["v"] > 1 and sized and len(point["cosignature"]) != sized):
            kind = "unknown-version" if point.get("v", 1) not in (1, 2) else "malformed-line"
            report(kind if line.endswith(b"}\n") else "torn-tail", None, where); continue
        size, chain, name, alg, by = map(point.get, "head_seq chain origin sig_alg key_id".split())
        moved = last.get("chain") == chain and (size < last["head_seq"] or point == last)
        last = report("sequence-duplicate", size, where) or last if moved else point
        mine = re.sub("^.*/(?=[0-9a-f]{16}$)", "", name) in (chain, name)  # no other chain's
        root = base64.b64encode(bytes.fromhex(point["root_hash"])).decode()
        if mine and (alg != "hmac-sha256" or by not in ring):  # told once for each key
            missing[alg, by] = (alg, by) in missing or not report("key-unavailable", size, where)
        elif not mine or not signs(ring[by], point["signature"], name, size, root) or (
                point["v"] > 1 and not timed(point, ring[by], name, size, root)):
            point["forged"] = report("checkpoint-signature-mismatch", size, where)
        points.setdefault(size, []).append((point, where))
    return points, ring
def verify(directory, keys=()):  # (kind, seq, file:line) of all that is not as it should be
    found, loose, ends, tree, roots, directory = [], [], {}, [], {}, Path(directory)
    report, signed = lambda *finding: found.append(finding), directory / "checkpoints.jsonl"
    (points, ring), retired, told = read_checkpoints(signed, keys, report), {}, []
    head, before, chain, due = (0, {"0" * 64}), None, None, None  # seq, hashes to link to
    def reach(leaf, size=1):  # section 2: a frontier of complete subtrees, the largest first
        while tree and tree[-1][0] == size: leaf, size = sha(b"\1" + tree.pop()[1] + leaf), 2 * size
        tree.append((size, leaf))
        if head[0] in points and sum(size for size, _ in tree) == head[0]:
            for _, left in tree[-2::-1]: leaf = sha(b"\1" + left + leaf)
            roots[head[0]] = {(leaf.hex(), digest) for digest in head[1]}
    def look_inside(record, seq, where):  # section 5: what the log says about itself
        kind, fields = record.get("event_type"), record.get("fields")
        if record.get("v", 1 if not kind else None) != 1: report("unknown-version", seq, where)
        elif kind == "audit.recovered":
            first, last = (ends.get((fields["bytes"], fields["sha256"])) or [(0, 0)]).pop()
            loose[first:last] = [None] * (last - first); report("recovered-tear", seq, where)
        elif kind == "audit.gap" and fields["lost"] and fields["sink"] != "stdout":
            report("declared-gap", seq, where)
        elif kind == "audit.checkpoint":
            told.append(fields["head_seq"])
            same = [all(p[m] == fields.get(m, p[m]) for m in "root_hash at key_id reason".split())
                    for p, _ in points.get(told[-1], ()) if p["chain"] == chain]
            if signed.exists() and not any(same):
                report("checkpoint-root-mismatch" if same else "sequence-gap", told[-1], where)
        elif kind == "audit.key_rotated" and fields["old_key_id"] in ring:  # section 9
            (*lines, made), old, new = fields.values(), fields["old_key_id"], fields["new_key_id"]
            good = retired[old] == new if old in retired else new not in (old, *retired)
            if len(lines) > 6: good &= lines[6] < seq and (not signed.exists() or any(
                (p["chain"], p["root_hash"]) == (chain, lines[7]) and "forged" not in p
                for p, _ in points.get(lines[6], ())))  # the tree that it was signed over
            version = f"audit_emit change of key, version {1 + (len(lines) > 6)}"
            good &= signs(ring[old], made, version, *lines)
            if good and lines[0].endswith(chain): retired[old] = new
            else: report("checkpoint-signature-mismatch", seq, where)
            for at, point, place in [(n, *each) for n in points if n >= seq for each in points[n]]:
                if point["key_id"] == old in retired and "forged" not in point:
                    point["forged"] = report("checkpoint-signature-mismatch", at, place)
    closed, active = sorted(directory.glob("audit-*.jsonl")), directory / "audit.jsonl"
    if closed and not active.exists() and not Path(f"{active}.new").exists():  # nor in between
        report("missing-segment", None, active.name)
    for path, fresh in [(path, True) for path in [*closed, active]]:
        for number, raw in lines_of(path):
            line, where, seq = raw.removesuffix(b"\n"), f"{path.name}:{number}", head[0] + 1
            link, record = LINK.fullmatch(line), parse(line)
            leaf = sha(b"\0" + line[:-len(',"hash":"') - 64 - len('"}')] + b"}")  # section 2
            sound = link and leaf.hex() == link[4].decode()
            if line == raw: report("torn-tail", seq, where)
            if not link or (line == raw and not sound):
                bare = "ts" in record and "event_type" in record and "hash" not in record
                if bare and record.get("v", 1) != 1: report("unknown-version", None, where)
                elif bare and seq == 1: report("legacy-record", None, where)
                elif line != raw:  # perhaps the log declares it, with the lines before that adjoin
                    if due != (path, number): first, size, run = len(loose), 0, hashlib.sha256()
                    due = path, number + 1; loose.append(("malformed-line", seq, where))
                    for part in line, b"\n":
                        size = run.update(part) or size + len(part)
                        ends.setdefault((size, run.hexdigest()), []).append((first, len(loose)))
                continue
            (name, prev, stated), seq = (link[i].decode() for i in (1, 3, 4)), int(link[2])
            fits = lambda at: at and at[0] == seq - 1 and prev in at[1] and name == (chain or name)
            kind = ("event-hash-mismatch" if not sound else "" if fits(head) or fits(before)
                    else "chain-id-mismatch" if name != (chain or name)
                    else "sequence-duplicate" if seq <= head[0]
                    else "event-prev-hash-mismatch" if seq == head[0] + 1
                    else "missing-segment" if fresh else "sequence-gap")
            if kind: report(kind, head[0] + 1 if not sound and prev in head[1] else seq, where)
            if before and (kind or fits(head)): reach(before[2])  # else that line was put in
            before, fresh = None if sound else (*head, leaf), False
            if not sound: head = head[0] + 1, {stated, leaf.hex()}
            elif kind not in ("chain-id-mismatch", "sequence-duplicate"):
                chain, head = name, (seq, {stated}); reach(leaf); look_inside(record, seq, where)
    if before: reach(before[2])
    for size, p, where in [(n, *each) for n in sorted(points) for each in points[n]]:
        if "forged" in p or (p["root_hash"], p["head_hash"]) in roots.get(size, ()): continue
        report("chain-id-mismatch" if p["chain"] != (chain or p["chain"])
               else "truncated" if size > head[0] else "checkpoint-root-mismatch", size, where)
    if not head[0]: report("nothing-found", None, directory.name)
    elif told and not signed.exists(): report("missing-segment", told[0], signed.name)
    elif keys and not points and not told: report("key-unavailable", None, signed.name)
    return [*found, *filter(None, loose)]
if __name__ == "__main__":
    if len(sys.argv) < 2: sys.exit(print(__doc__) or 2)
    found = verify(sys.argv[1], [bytes.fromhex(Path(name).read_text()) for name in sys.argv[2:]])
    for finding in found: print(*finding)
    kinds = {kind for kind, *_ in found} - {"recovered-tear", "legacy-record", "unknown-version"}
    tampered = kinds - {"torn-tail", "declared-gap", "key-unavailable", "nothing-found"}
    sys.exit(1 if tampered else 3 if "nothing-found" in kinds else 4 if kinds else 0)

"""Verify an audit log with the standard library alone, as docs/wire-format.md, section 7, says.
usage: verify_chain.py [--as-of TIME] DIRECTORY [FILE WITH A HEX KEY]...
It needs every HMAC key, those that were retired too; it has no Ed25519: that is key-unavailable.
Packed segments have to be unpacked first. Of a log whose oldest records were removed it needs tile/, too."""
import base64, hashlib, hmac, json, os, re, stat, sys, time
from collections import Counter, deque; from datetime import datetime; from pathlib import Path
LINK = re.compile(rb'.*,"chain":"([0-9a-f]{16})","seq":([1-9][0-9]{0,18})'
                  rb',"prev_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}', re.DOTALL)
POINT = re.compile(rb'{"v":[12],"at":"\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d{9}Z","origin":"'
    rb'[!#-*,-[\]-~]{1,255}","chain":"[\da-f]{16}","head_seq":[1-9]\d{0,18},"head_hash":"[\da-f]{64}",'
    rb'"root_hash":"[\da-f]{64}","reason":"(startup|interval|threshold|manual|shutdown|rotation)","sig_alg":"'
    rb'[a-z][a-z\d-]{0,31}","key_id":"[\da-f]{8}"(,"(co)?signature":"([A-Za-z\d+/]{4})*([A-Za-z\d+/]'
    rb'([AQgw]==|[A-Za-z\d+/][AEIMQUYcgkosw048]=))?"){1,2}}\n')
NAME = re.compile(r"audit(-[0-9]{20}\.jsonl|\.jsonl([.-]([0-9][0-9T_:.-]*|old))?)")
REMOVAL = "origin first_seq last_seq records last_hash frontier size root_hash head_hash reason".split()
CHANGE = "origin old_alg old_key_id new_alg new_key_id new_key".split()
NEAR, BURST, SECOND, LONGEST, ENDS, RUNS, OPEN = 16, 3 * 10**9, 10**9, 1 << 20, 64, 256, 128
whole = lambda value, below: type(value) is int and 0 < value < below; sha = lambda data: hashlib.sha256(data).digest()
moment = lambda ns: time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(max(ns, 0) // SECOND)) + (
    f".{max(ns, 0) % SECOND:09d}Z")
signs = lambda key, made, *lines: hmac.compare_digest(f"{made}".encode(), base64.b64encode(
    hmac.digest(key, "".join(f"{line}\n" for line in lines).encode(), "sha256")))
def timed(point, key, *lines):  # whether the time is signed, too (section 6)
    data, at = base64.b64decode(point["cosignature"]), point["at"][:19] + "+00:00"
    try: seconds = int(datetime.fromisoformat(at).timestamp())
    except ValueError: return False
    made, lines = base64.b64encode(data[12:]).decode(), (f"time {seconds}", *lines)
    named = bytes.fromhex(point["key_id"]) + max(0, seconds).to_bytes(8, "big")
    return data[:12] == named and signs(key, made, "cosignature/v1", *lines)
def named_key(text, origin):  # the id of an Ed25519 key that is written for this origin (section 6)
    name, _, rest = text.partition("+"); by, _, data = rest.partition("+")
    try: key = base64.b64decode(data, validate=True)
    except ValueError: return None
    good = name == origin and len(key) == 33 and key[0] == 1
    return by if good and sha(origin.encode() + b"\n" + key).hex()[:8] == by else None
def parse(line):
    if b"{" not in line: return {}
    try: return {**json.loads(line.decode(), parse_constant=int)}  # int("NaN") is a ValueError
    except (TypeError, ValueError, RecursionError): return {}
def read(path):  # only regular files: no links, pipes or devices (section 4)
    try: descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError: return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode): return os.fdopen(descriptor, "rb")
    return os.close(descriptor)
def first_of(file, name):  # section 4: the order of the files is that of their first records
    before, first, data = None, None, file.read(1 << 18)
    old = re.search(b'^{"ts":"(.{30}).*\n', data, re.MULTILINE)
    ts = old[1] if old else b""; old = old and b'"prev_hash":"' not in data
    for line in data.split(b"\n")[:-1]:
        link = LINK.fullmatch(line)
        if link and sha(b"\0" + line[:-75] + b"}").hex() == link[4].decode():
            if before and before[4] == link[3]: return int(before[2]), ts
            first, before = first or link, link
    last = int((re.findall("-([0-9]{20})[.]", name) or [1 << 63])[0])
    return int(first[2]) if first else 0 if old else last, ts
class Run:  # lines that adjoin and are no records: the log may declare how it begins (7.4)
    def __init__(self, first):
        self.first, self.lines, self.told, self.newest, self.ends = first, 0, 0, [], None
        self.size, self.hash = 0, hashlib.sha256()  # of all lines but the newest
    def add(self, raw):
        self.newest.append(raw); self.lines += 1
        if len(self.newest) == 2 * ENDS: self.pass_on(ENDS)
    def pass_on(self, count):
        data = b"".join(self.newest[:count]); del self.newest[:count]
        self.size += len(data); self.hash.update(data)
    def lines_of(self, size, digest):  # how many lines these bytes are
        if self.ends is None:  # once, as nothing adjoins any more when a record declares it
            self.pass_on(len(self.newest) - min(ENDS, len(self.newest)))
            self.ends = {}
            for count, raw in enumerate(self.newest, self.lines - len(self.newest) + 1):
                for part in raw[:-1], b"\n":
                    self.size += len(part); self.hash.update(part)
                    self.ends[self.size, self.hash.hexdigest()] = count
            self.newest = []
        return self.ends.get((size, digest), 0)
class Verifier:
    def __init__(self, directory, keys=(), as_of=None):
        self.directory, self.as_of = Path(directory), as_of or time.time_ns()
        self.ring, self.retired = {sha(key).hex()[:8]: key for key in keys}, {}
        self.found, self.loose, self.runs, self.told, self.declared = [], [], deque(maxlen=RUNS), 0, []
        self.chain, self.head, self.before, self.jump = None, (0, {"0" * 64}), None, None
        self.tree, self.roots, self.anchor, self.tail = [], {}, None, []
        self.policy, self.said, self.old, self.old_told, self.moved = None, None, [], [], None
        self.start, self.vouched, self.gone, self.named = None, False, 0, None
        self.by_key, self.holds, self.same, self.later = {}, Counter(), {}, set()
    def report(self, *finding): self.found.append(finding)
    def read_checkpoints(self, path):  # {size: [(checkpoint, place)]}
        points, missing, last, file = {}, {}, {}, read(path)
        for number, line in enumerate(file or (), 1):
            where, formed = f"{path.name}:{number}", len(line) <= 65537 and POINT.fullmatch(line)
            point = parse(line)
            sized = formed and {"ed25519": 104, "hmac-sha256": 60}.get(point["sig_alg"])  # of base64
            if not formed or ("cosignature" in point) is not (point["v"] > 1) or (
                    point["v"] > 1 and sized and len(point["cosignature"]) != sized):
                newer = type(point.get("v")) is int and point["v"] > 2
                kind = "key-unavailable" if newer else "malformed-line"
                self.report(kind if line.endswith(b"}\n") else "torn-tail", None, where); continue
            size, chain, name, alg, by = map(point.get, "head_seq chain origin sig_alg key_id".split())
            moved = last.get("chain") == chain and (size < last["head_seq"] or point == last)
            last = self.report("sequence-duplicate", size, where) or last if moved else point
            mine = re.sub("^.*/(?=[0-9a-f]{16}$)", "", name) in (chain, name)  # no other chain's
            root = base64.b64encode(bytes.fromhex(point["root_hash"])).decode()
            point = {**point, "state": "ok"}
            if mine and (alg == "ed25519" or (alg == "hmac-sha256" and by not in self.ring)):
                point["state"] = "no key"
                missing[alg, by] = (alg, by) in missing or not self.report("key-unavailable", size, where)
            elif not mine or alg != "hmac-sha256" or not signs(
                    self.ring[by], point["signature"], name, size, root) or (
                    point["v"] > 1 and not timed(point, self.ring[by], name, size, root)):
                point["state"] = self.report("checkpoint-signature-mismatch", size, where)
            points.setdefault(size, []).append((point, where))
            self.by_key.setdefault((alg, by), []).append((point, where))
            self.holds[size, chain, point["root_hash"]] += point["state"] is not None
        self.points, self.signed, self.end = points, file is not None, file and (file.tell(), file.close())[0]
    def since(self, size):  # whether a checkpoint was added while the log was being read
        with read(self.directory / "checkpoints.jsonl") or open(os.devnull, "rb") as file:
            file.seek(self.end or 0)
            for line in file:
                if not line.endswith(b"\n"): break
                head = parse(line).get("head_seq"); self.end = (self.end or 0) + len(line)
                if type(head) is int: self.later.add(head)
        return size in self.later
    def reach(self, leaf, seq, hashes, ts=""):  # section 2: complete subtrees, the largest first
        size, tree = 1, self.tree
        while tree and tree[-1][0] == size: leaf, size = sha(b"\1" + tree.pop()[1] + leaf), 2 * size
        tree.append((size, leaf))
        if seq not in self.points or sum(size for size, _ in tree) != seq: return
        for _, left in tree[-2::-1]: leaf = sha(b"\1" + left + leaf)
        self.roots[seq] = {(leaf.hex(), digest) for digest in hashes}
        for point, _ in self.points[seq]:
            good = (point["root_hash"], point["head_hash"]) in self.roots[seq]
            if good and point["state"] == "ok" and point["chain"] == self.chain:
                self.anchor, self.tail = (seq, point, ts), []
                self.policy = self.said or self.policy
                self.found += [tear for _, _, tear, _ in self.declared]; self.declared = []
    def look_inside(self, record, seq, where):  # section 5: what the log says about itself
        kind, fields, v = map(record.get, ("event_type", "fields", "v"))
        if type(kind) is not str: return None
        if type(v) is not int or v != 1: return self.report("unknown-version", seq, where)
        if type(fields) is not dict: return None
        if kind == "audit.recovered": self.recovered(fields.get("bytes"), fields.get("sha256"), seq, where)
        elif kind == "audit.gap" and whole(fields.get("lost"), 1 << 64) and fields.get("sink") != "stdout":
            self.report("declared-gap", seq, where)
        elif kind == "audit.started":
            every, interval = fields.get("checkpoint_every"), fields.get("checkpoint_interval")
            if whole(every, 1 << 64) and type(interval) in (int, float) and 0 < interval < 1 << 32:
                self.said = every, interval
        elif kind == "audit.legacy":
            self.old_told.append((seq, fields.get("bytes"), fields.get("sha256")))
        elif kind == "audit.checkpoint" and whole(fields.get("head_seq"), 1 << 63):
            size = fields["head_seq"]; self.told = self.told or size
            members = tuple(m for m in ("root_hash", "at", "key_id", "reason") if m in fields)
            if self.signed and tuple(fields[m] if type(fields[m]) is str else None for m in members) not in (
                    self.compared(size, members)):
                there = self.compared(size, ())
                kind = "checkpoint-root-mismatch" if there else "sequence-gap"
                if there or not self.since(size): self.report(kind, size, where)
        elif kind == "audit.pruned": self.pruned(record, seq, where)
        elif kind == "audit.key_rotated" and not self.change_key(fields, seq):
            self.report("checkpoint-signature-mismatch", seq, where)
    def compared(self, size, members):  # these members of each checkpoint of this size
        if (size, members) not in self.same:
            self.same[size, members] = {tuple(map(point.get, members))
                for point, _ in self.points.get(size, ()) if point["chain"] == self.chain}
        return self.same[size, members]
    def recovered(self, size, digest, seq, where):
        if type(size) is not int or type(digest) is not str: return
        for run in reversed(self.runs):
            lines, begin = run.lines_of(size, digest), run.first
            if lines <= run.told: continue
            if not run.told: run.bad = self.loose[begin]
            self.loose[begin + run.told:begin + lines] = [None] * (lines - run.told)
            run.told, at, tear = lines, run.bad[1], ("recovered-tear", seq, where)
            if self.ring: self.declared.append((at, seq, tear, run.bad))
            else: self.report(*(tear if seq - at < NEAR else run.bad))
            return
        near = self.gone and seq < self.gone + NEAR  # it may have stood in a file that was removed
        self.report("recovered-tear" if near or self.kept(size, digest) else "missing-segment", seq, where)
    def change_key(self, fields, seq):  # section 6: whether the old key, still in use, signed it
        lines, tree = [fields.get(m) for m in CHANGE], [fields[m] for m in ("size", "root_hash") if m in fields]
        if lines[1] != "hmac-sha256" or type(lines[2]) is not str or lines[2] not in self.ring: return True
        made = fields.get("signature")
        if not all(type(line) is str and "\n" not in line for line in [*lines, made]): return False
        if tree and not (len(tree) == 2 and whole(tree[0], min(seq, 1 << 63)) and type(tree[1]) is str and (
                not self.signed or self.holds[tree[0], self.chain, tree[1]] > 0)): return False
        origin, old, new, retired = lines[0], tuple(lines[1:3]), tuple(lines[3:5]), self.retired
        version = f"audit_emit change of key, version {1 + bool(tree)}"
        if old == new or not origin.endswith(f"/{self.chain}") or not signs(
                self.ring[old[1]], made, version, *lines, *tree): return False
        if old in retired: return retired[old] == new
        if new in retired or (new[0] == "ed25519" and named_key(lines[5], origin) != new[1]): return False
        retired[old] = new
        for point, where in self.by_key.get(old, ()):  # what it signs from here on is forged
            if point["head_seq"] >= seq and point["state"]:
                self.holds[point["head_seq"], point["chain"], point["root_hash"]] -= 1
                point["state"] = self.report("checkpoint-signature-mismatch", point["head_seq"], where)
        return True
    def removal(self, record, seq):  # what is said of removed records, and whether that is signed (7.7)
        said, chain = record.get("fields"), record.get("chain")
        try:
            lines, carried = [said[m] for m in REMOVAL], [*said["carried"]]
            last, peaks, by = said["last_seq"], said["frontier"].split(" "), (said["sig_alg"], said["key_id"])
            good = said["v"] == 1 and 0 < said["first_seq"] <= last <= said["size"] < seq and (
                said["records"] == last - said["first_seq"] + 1 and said["origin"].endswith(f"/{chain}") and
                peaks[0] == str(last) and len(peaks) == 1 + last.bit_count() and
                all(re.fullmatch("[0-9a-f]{64}", h) for h in [*peaks[1:], *lines[4:9:4], lines[7]]))
            lines += [*carried, *by]
            if not good or any("\n" in str(line) for line in lines) or by[0] == "none": return None
        except (AttributeError, KeyError, TypeError): return None
        if by[0] != "hmac-sha256" or by[1] not in self.ring: return said, "no key"
        return (said, "ok") if signs(self.ring[by[1]], said.get("signature"),
            "audit_emit removal of records, version 1", *lines) else None
    def pruned(self, record, seq, where):
        if type(v := record["fields"].get("v")) is int and v > 1: return self.report("key-unavailable", seq, where)
        found = self.removal(record, seq); said = found and found[0]; by = found and (said["sig_alg"], said["key_id"])
        newest = max((n for n, made in self.points.items() if n < seq and any(p["state"] for p, _ in made)), default=0)
        if not found or by in self.retired or (self.signed and not (
                self.holds[said["size"], self.chain, said["root_hash"]] > 0 and (not newest or any(
                p["state"] and (p["sig_alg"], p["key_id"]) == by for p, _ in self.points[newest])))):
            return self.report("checkpoint-signature-mismatch", seq, where)
        known = found[1] == "ok" or by[0] == "ed25519" or not self.ring
        if seq == self.start and known:
            self.vouched = True; self.report("pruned", said["last_seq"] + 1, where)
            if found[1] != "ok": self.report("key-unavailable", seq, where)
    def leaf(self, number):  # of the hash tiles (section 10), which stay when records go
        tile, place = divmod(number - 1, 256); name = f"{tile % 1000:03}"
        while tile := tile // 1000: name = f"x{tile % 1000:03}/{name}"
        full = self.directory / "tile" / "0" / name
        wide = sorted(Path(f"{full}.p").glob("*"), key=lambda part: int(part.name) if part.name.isdigit() else 0)
        for path in [full, *wide[-1:]]:
            with read(path) or open(os.devnull, "rb") as file:
                file.seek(32 * place); data = file.read(32)
                if len(data) == 32: return data
    def begin_after(self, first, paths):  # 7.7: the newest record of a removal that may be believed
        found = []
        for path in paths:
            with read(path) or open(os.devnull, "rb") as file:
                for line in file:
                    if not line[36:].startswith(b'Z","event_type":"audit.pruned",'): continue
                    line = line.removesuffix(b"\n"); link = LINK.fullmatch(line)
                    if not link or sha(b"\0" + line[:-75] + b"}").hex() != link[4].decode(): continue
                    said = self.removal(parse(line), int(link[2]))
                    if said: found.append((said[1], int(link[2]), said[0]))
        if not found: return
        _, self.start, said = max(found, key=lambda one: (one[0] == "ok", one[1]))
        last = self.gone = said["last_seq"]; self.named = self.chain = said["origin"][-16:]
        for number, line in enumerate(map(str.encode, said["carried"]), 1):
            link = LINK.fullmatch(line)
            if link: self.look_inside(parse(line), int(link[2]), f"audit.pruned:{number}")
        leaf, peaks = said["last_hash"], said["frontier"].split(" ")[1:]
        for number in range(1, min(first - 1, last) + 1):
            data = self.leaf(number)
            if not data: self.report("missing-segment", None, "tile"); break
            leaf = data.hex(); self.reach(data, number, {leaf})
        if first <= last: self.head = first - 1, {leaf}; return
        if [node.hex() for _, node in self.tree] != peaks: self.report("checkpoint-root-mismatch", last, "tile")
        sizes = [1 << bit for bit in range(last.bit_length() - 1, -1, -1) if last >> bit & 1]
        self.head, self.tree = (last, {said["last_hash"]}), [*zip(sizes, map(bytes.fromhex, peaks), strict=True)]
    def kept(self, size, digest):  # the bytes that repair moved, all or but a newline at their end
        if self.moved is None:
            self.moved = set()
            for path in (self.directory / "quarantine").glob("*.bytes"):
                with read(path) or open(os.devnull, "rb") as file:
                    count, hashed = 0, hashlib.sha256()
                    while data := file.read(LONGEST): count += len(data); hashed.update(data)
                self.moved.add((count, hashed.hexdigest()))
                hashed.update(b"\n"); self.moved.add((count + 1, hashed.hexdigest()))
        return (size, digest) in self.moved
    def accept(self, seq, name, stated, leaf, line, where):  # a record that belongs to the chain
        ts, self.chain = line[7:37].decode("latin-1"), name
        self.tail.append((line[36:].startswith(b'Z","event_type":"audit.checkpoint",'), ts))
        self.look_inside(parse(line), seq, where); self.reach(leaf, seq, {stated}, ts)
    def settle(self):  # what stood in doubt is of the chain (section 7, rules 4 and 5)
        if self.jump:
            (_, to, back), self.jump = self.jump, None
            if back: self.report("sequence-duplicate", back[0], back[5])
            self.accept(*to)
        if self.before: self.reach(self.before[2], *self.head)
        self.before = None
    def go_back(self):  # the record that left a hole was put there
        (self.head, _, back), self.jump = self.jump, None
        if back: self.head = back[0], {back[2]}; self.accept(*back)
    def link(self, seq, name, prev, stated, leaf, line, where, fresh):
        head, record = self.head, (seq, name, stated, leaf, line, where)
        fits = lambda at: at and at[0] == seq - 1 and prev in at[1] and name == (self.named or name)
        tip = self.jump and ((self.jump[2][0], {self.jump[2][2]}) if self.jump[2] else self.jump[0])
        if leaf.hex() != stated:
            if tip and prev in tip[1] and prev not in head[1]: self.go_back(); head = self.head
            self.report("event-hash-mismatch", head[0] + 1 if prev in head[1] else seq, where)
            self.settle(); self.before = (*self.head, leaf)
            self.head = self.head[0] + 1, {stated, leaf.hex()}; return
        if fits(head): self.settle()
        elif fits(self.before): self.before = None  # that line was put in
        elif fits(tip):
            if not self.jump[2]: self.jump = *self.jump[:2], record; return
            self.go_back()
        else:
            other = name != (self.named or name)
            if not self.jump or (name == self.named and seq > head[0]): self.settle()
            kind = ("chain-id-mismatch" if other else "sequence-duplicate" if seq <= head[0]
                    else "event-prev-hash-mismatch" if seq == head[0] + 1
                    else "missing-segment" if fresh else "sequence-gap")
            self.report(kind, seq, where)
            if other or seq <= head[0]: return
            if seq > head[0] + 1:
                self.jump, self.head, self.named = (head, record, None), (seq, {stated}), name; return
        self.head, self.named = (seq, {stated}), name; self.accept(*record)
    def unchained(self, raw, where, adjoins):
        seq, record = self.head[0] + 1, parse(raw) if len(raw) <= LONGEST + 1 else {}
        if seq == 1 and "ts" in record and "event_type" in record and "hash" not in record:
            return self.old.append((raw, ("malformed-line", seq, where)))
        if not adjoins: self.runs.append(Run(len(self.loose)))
        self.loose.append(("malformed-line", seq, where)); self.runs[-1].add(raw)
        return True
    def read_segment(self, name, file):
        fresh, due = True, None
        for number, raw in enumerate(file, 1):
            line, where, leaf = raw.removesuffix(b"\n"), f"{name}:{number}", None
            torn, link = line == raw, line.endswith(b'"}') and len(line) <= LONGEST and LINK.fullmatch(line)
            if link: leaf = sha(b"\0" + line[:-len(',"hash":"') - 64 - len('"}')] + b"}")  # section 2
            if torn: self.report("torn-tail", self.head[0] + 1, where)
            if link and (not torn or leaf.hex() == link[4].decode()):
                chain, prev, stated = (link[i].decode() for i in (1, 3, 4))
                self.link(int(link[2]), chain, prev, stated, leaf, line, where, fresh); fresh = False
            elif not torn: due = number + 1 if self.unchained(raw, where, due == number) else None
    def segments(self):  # the active one is opened first: it may be closed while this runs
        active, files, seen, order = self.directory / "audit.jsonl", {}, set(), []
        for path in [active, *sorted(self.directory.iterdir())]:
            if not NAME.fullmatch(path.name) or path in files: continue
            file = read(path)
            if file is None:
                if path != active: self.report("missing-segment", None, path.name)
            elif (inode := os.fstat(file.fileno()).st_ino) not in seen:
                seen.add(inode); order.append((*first_of(file, path.name), path.name, inode, path))
                files[path] = file if len(files) < OPEN else file.close()
            else: file.close()
        if files and active not in files and not Path(f"{active}.new").exists():
            self.report("missing-segment", None, active.name)
        if order and 1 < min(order)[0] < 1 << 63: self.begin_after(min(order)[0], [one[-1] for one in order])
        for *_, name, inode, path in sorted(order):
            file = files[path] or read(path)
            if file is None or os.fstat(file.fileno()).st_ino != inode:
                self.report("missing-segment", None, name)
            if file:
                with file: file.seek(0); self.read_segment(name, file)
    def finish(self):
        self.settle(); at = self.anchor[0] if self.anchor else 0
        if self.start and not self.vouched: self.report("missing-segment", 1, "tile")
        for here, by, tear, bad in self.declared:
            self.report(*(tear if by - here < NEAR and here > at else bad))
        data = b"".join(raw for raw, _ in self.old)
        named = [by for by, *rest in self.old_told if rest == [len(data), sha(data).hex()]]
        good = not self.head[0] or (named and (not self.ring or named[0] <= at))
        if self.old and good and self.head[0] and not self.ring: self.report("key-unavailable", None, "audit.legacy")
        for _, bad in self.old: self.report(*(("legacy-record", None, bad[2]) if good else bad))
        for size, p, where in [(n, *each) for n in sorted(self.points) for each in self.points[n]]:
            good = (p["root_hash"], p["head_hash"]) in self.roots.get(size, ())
            if not p["state"] or (good and p["chain"] == self.chain): continue
            self.report("chain-id-mismatch" if p["chain"] != (self.chain or p["chain"])
                else "truncated" if size > self.head[0] else "checkpoint-root-mismatch", size, where)
        if not self.head[0]: self.report("nothing-found", None, self.directory.name)
        elif self.told and not self.signed: self.report("missing-segment", self.told, "checkpoints.jsonl")
        self.found += filter(None, self.loose)
        if self.ring and self.head[0] and status(self.found) != 1 and not self.anchored():
            self.report("not-anchored", at or None, "checkpoints.jsonl")
        return self.found
    def anchored(self):  # section 7: is a signature near enough to the end?
        if not self.anchor: return False
        (_, point, signed), (every, interval) = self.anchor, self.policy or (10_000, 3600)
        if point["v"] > 1: signed = moment(SECOND * int.from_bytes(
            base64.b64decode(point["cosignature"])[4:12], "big"))
        low, high = moment(self.as_of - BURST), moment(self.as_of + BURST)
        spare = len({(size, p["sig_alg"], p["key_id"]) for size in self.points
            if size >= self.anchor[0] for p, _ in self.points[size] if p["state"]})
        about, tail = ([ts for is_about, ts in self.tail if is_about == each] for each in (True, False))
        late = [sum(not self.policy or not low <= ts <= high for ts in each) for each in (about, tail)]
        if len(about) > spare: tail += about
        span = int(interval * SECOND) + BURST; oldest, latest = moment(self.as_of - span), moment(self.as_of + span)
        return max(late[0] - spare, 0) + late[1] <= every and (
            signed >= oldest or all(oldest <= ts <= latest for ts in tail))
    def verify(self):  # (kind, seq, file:line) of all that is not as it should be
        self.read_checkpoints(self.directory / "checkpoints.jsonl"); self.segments(); return self.finish()
def status(found):
    kinds = {kind for kind, *_ in found} - {"recovered-tear", "legacy-record", "unknown-version", "pruned"}
    if kinds - {"torn-tail", "declared-gap", "key-unavailable", "nothing-found"}: return 1
    return 4 if kinds - {"nothing-found"} else 3 if kinds else 0
verify = lambda directory, keys=(), as_of=None: Verifier(directory, keys, as_of).verify()
def keys_in(name):  # the HMAC keys in a file, as keygen writes it: hex digits
    try: text = Path(name).read_text("ascii", "replace")
    except OSError as error: sys.exit(print(f"{name}: {error.strerror}", file=sys.stderr) or 2)
    keys = [bytes.fromhex(word) for word in re.findall(r"(?:^|\s)((?:[\da-fA-F]{2}){32,})(?!\S)", text)]
    if not keys: print(f"{name}: no HMAC key; Ed25519 is not in Python's library", file=sys.stderr)
    return keys
if __name__ == "__main__":
    words, as_of = sys.argv[1:], None
    if words[:1] == ["--as-of"]:
        as_of = int(datetime.fromisoformat(words[1]).timestamp()) * SECOND; del words[:2]
    if not words: sys.exit(print(__doc__) or 2)
    found = verify(words[0], [key for name in words[1:] for key in keys_in(name)], as_of)
    print("".join(" ".join(map(str, finding)) + "\n" for finding in found), end=""); sys.exit(status(found))

/* `Emitter.emit` in the usual case: from the caller's arguments to a line in the file and the same
 * line on standard output.
 *
 * Either the event is recorded, or nothing is done and Python does it: it meets the same obstacle by
 * itself and knows the way round. The steps are those of `Emitter.emit`, `Composer.compose` and
 * `JsonlSink.append`, in their order. */
#include "speedups.h"

#include <unistd.h>

#define WAKES 4
#define ON_STACK 4096
#define SOON_NS 5000
#define LATELY_NS BILLION
#define MAX_SEQ 100000000000000000LL

/* Names that are not hot enough to be members. */
enum { CONTEXT, WIRE, IDENTITY, LOCK, UNSETTLED, PATH, LOCK_PATH, PID, DROP, WAKE, BEGIN, NAMES };
static const char *const NAME[NAMES] = {
    "context", "wire", "_identity",  "_lock", "_unsettled", "path",
    "path",    "_pid", "_drop_lock", "_wake", "_begin",
};

typedef struct {
    PyObject_HEAD
    PyObject *table;     /* Table */
    PyObject *known;     /* what is known of names: in other events, in those about a secret */
    PyObject *make_json; /* where Python has to judge something */
    PyObject *composer; /* only its identity is looked at */
    PyObject *kinds;    /* dict: event type -> (opening, …) */
    PyObject *context_type;
    PyObject *live_type;
    PyObject *bound; /* gives the bound context */
    ClockState *clock;
    PyObject *time_ns; /* its function is replaced where time is made up */
    PyCFunction time_function;
    SinkState *sink;
    PyObject *segment_type;
    PyTypeObject *mutex_type; /* borrowed from the module, which its type keeps alive */
    DescriptorState *stdout; /* or None */
    PyObject *receipt;
    PyObject *before_id;
    PyObject *is_interrupt;
    Py_buffer page; /* without a `buf` the process id has to be asked for */
    pid_t pid;
    long long fresh_ns;
    long long lock_check_ns;
    long long recheck_ns;
    long long others;       /* when another process was last seen to have written */
    Second second;          /* the last one; read and changed with the thread lock held */
    Py_ssize_t wake[WAKES]; /* lengths of the list of lines at which the group commit hears of it */
    long long most_bytes;   /* of those lines */
    PyObject *names[NAMES];
} Quick;

/* One event on its way. The objects keep the texts in `append` alive. */
typedef struct {
    PyObject *kind, *wire, *json, *salt, *link, *chain, *hash, *path, *lock_path, *prefix;
    Append append;
    Show show;
    bool shows; /* whether the line may be shown from here */
    bool was_shown;
    PyObject *line, *receipt; /* what came of it */
} Event;

static void let_go(Event *event)
{
    Py_XDECREF(event->kind);
    Py_XDECREF(event->wire);
    Py_XDECREF(event->json);
    Py_XDECREF(event->salt);
    Py_XDECREF(event->link);
    Py_XDECREF(event->chain);
    Py_XDECREF(event->hash);
    Py_XDECREF(event->path);
    Py_XDECREF(event->lock_path);
    Py_XDECREF(event->prefix);
    Py_XDECREF(event->show.dup);
}

bool forget(PyObject *is_interrupt)
{
    if (!PyErr_Occurred())
        return true;
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return false;
    PyObject *type, *value, *traceback, *found = NULL;
    PyErr_Fetch(&type, &value, &traceback);
    if (traceback && is_interrupt) {
        PyErr_NormalizeException(&type, &value, &traceback);
        PyException_SetTraceback(value, traceback);
        found = PyObject_CallOneArg(is_interrupt, value);
        if (!found && PyErr_ExceptionMatches(PyExc_Exception))
            PyErr_Clear();
    }
    if (found == Py_True) {
        PyErr_Restore(type, value, traceback);
    }
    else {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    }
    Py_XDECREF(found);
    return !PyErr_Occurred();
}

/* The same for the usual way: what it forgets Python will meet again. */
static bool not_here(const Quick *self)
{
    return forget(self->is_interrupt);
}

/* Whether no fork has made another process of this one (`_forks.py`). */
static bool same_process(const Quick *self)
{
    return self->page.buf ? *(const volatile char *)self->page.buf : getpid() == self->pid;
}

static bool text_of(PyObject *object, Text *text)
{
    if (!object || !PyUnicode_CheckExact(object))
        return false;
    if (PyUnicode_IS_COMPACT_ASCII(object)) {
        *text = (Text){(const char *)PyUnicode_1BYTE_DATA(object), PyUnicode_GET_LENGTH(object)};
        return true;
    }
    text->text = PyUnicode_AsUTF8AndSize(object, &text->size);
    return text->text != NULL;
}

static bool number_of(PyObject *object, long long *number)
{
    int overflow;
    if (!object || !PyLong_CheckExact(object))
        return false;
    *number = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}

/* Call a method for what it does. */
static bool called(PyObject *object, PyObject *name, PyObject *argument)
{
    PyObject *stack[] = {object, argument};
    PyObject *done = PyObject_VectorcallMethod(name, stack, argument ? 2 : 1, NULL);
    Py_XDECREF(done);
    return done != NULL;
}

/* -- what is recorded --------------------------------------------------------------------------- */

/* The encoded members of a context (`AuditContext.wire`); NULL when there are none yet. */
static PyObject *wire_of(const Quick *self, PyObject *given)
{
    PyObject *context = given == Py_None ? PyObject_CallNoArgs(self->bound) : same(given);
    if (context && (PyObject *)Py_TYPE(context) == self->live_type) {
        PyObject *live = context;
        context = PyObject_GetAttr(live, self->names[CONTEXT]);
        Py_DECREF(live);
    }
    if (!context)
        return NULL;
    PyObject *wire = NULL;
    if ((PyObject *)Py_TYPE(context) == self->context_type)
        wire = PyObject_GetAttr(context, self->names[WIRE]);
    Py_DECREF(context);
    if (wire && (!PyTuple_CheckExact(wire) || PyTuple_GET_SIZE(wire) != 3
                 || PyTuple_GET_ITEM(wire, 0) != self->composer))
        Py_CLEAR(wire);
    return wire;
}

/* The JSON of the fields, where they need not take the full way. */
static PyObject *json_of(const Quick *self, PyObject *fields, PyObject *about_secret)
{
    PyObject *known = PyTuple_GET_ITEM(self->known, about_secret == Py_True);
    PyObject *json = encode_plain(self->table, fields, known, Py_None);
    if (json != Py_False)
        return json;
    Py_DECREF(json);
    PyObject *arguments[] = {fields, about_secret};
    return PyObject_Vectorcall(self->make_json, arguments, 2, NULL);
}

static bool compose(const Quick *self, PyObject *const *args, Event *event)
{
    Append *append = &event->append;
    if (!PyUnicode_CheckExact(args[1]))
        return false;
    event->kind = same(PyDict_GetItemWithError(self->kinds, args[1]));
    if (!event->kind || !PyTuple_CheckExact(event->kind) || PyTuple_GET_SIZE(event->kind) != 2)
        return false;
    event->wire = wire_of(self, args[0]);
    if (!event->wire)
        return false;
    event->json = json_of(self, args[2], PyTuple_GET_ITEM(event->kind, 1));
    return text_of(event->json, &append->json) && text_of(PyTuple_GET_ITEM(event->kind, 0), &append->opening)
        && text_of(PyTuple_GET_ITEM(event->wire, 1), &append->before)
        && text_of(PyTuple_GET_ITEM(event->wire, 2), &append->end)
        && text_of(self->before_id, &append->before_id);
}

/* What the id is made of beside the time. */
static bool take_id(const Quick *self, Event *event)
{
    Append *append = &event->append;
    PyObject *ids = same(self->clock->ids);
    PyObject *next = ids && PyIter_Check(ids) ? PyIter_Next(ids) : NULL;
    bool numbered = number_of(next, &append->number) && append->number >= 0;
    Py_XDECREF(next);
    Py_XDECREF(ids);
    event->salt = same(self->clock->salt);
    return numbered && text_of(event->salt, &append->salt) && append->salt.size == SALT_SIZE
        && PyUnicode_IS_ASCII(event->salt);
}

/* -- where it is recorded ------------------------------------------------------------------------ */

bool take_identity(PyObject *pair, Identity *identity)
{
    if (!pair || !PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
        return false;
    identity->device = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(pair, 0));
    identity->inode = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(pair, 1));
    return !PyErr_Occurred();
}

static bool identity_of(const Quick *self, PyObject *owner, Identity *identity)
{
    PyObject *pair = owner ? PyObject_GetAttr(owner, self->names[IDENTITY]) : NULL;
    bool known = take_identity(pair, identity);
    Py_XDECREF(pair);
    return known;
}

/* What is needed to look, more rarely, whether the lock and the process are still ours. */
static bool prepare_lock_look(const Quick *self, PyObject *lock, Event *event)
{
    PyObject *pid = PyObject_GetAttr((PyObject *)self->sink, self->names[PID]);
    PyObject *path = lock ? PyObject_GetAttr(lock, self->names[LOCK_PATH]) : NULL;
    bool known = number_of(pid, &event->append.pid) && path && PyUnicode_CheckExact(path);
    if (known)
        event->lock_path = PyUnicode_EncodeFSDefault(path);
    Py_XDECREF(pid);
    Py_XDECREF(path);
    if (!event->lock_path)
        return false;
    event->append.lock_path = PyBytes_AS_STRING(event->lock_path);
    return true;
}

/* What is needed to look at the file in passing. Where that is not enough, Python looks. */
static void prepare_look(const Quick *self, long long now, Event *event)
{
    Append *append = &event->append;
    PyObject *segment = self->sink->segment;
    append->looks = false;
    append->lock_path = NULL;
    long long age = now - append->fresh, since = now - self->sink->lock_checked;
    if (0 <= age && age < self->fresh_ns - SOON_NS && now - self->others >= LATELY_NS)
        return;
    PyObject *lock = PyObject_GetAttr((PyObject *)self->sink, self->names[LOCK]);
    PyObject *unsettled = PyObject_GetAttr(segment, self->names[UNSETTLED]);
    event->path = PyObject_GetAttr(segment, self->names[PATH]);
    append->looks = unsettled == Py_None && event->path && PyBytes_CheckExact(event->path)
        && identity_of(self, lock, &append->lock_identity)
        && identity_of(self, segment, &append->identity)
        && ((0 <= since && since < self->lock_check_ns) || prepare_lock_look(self, lock, event));
    if (append->looks)
        append->path = PyBytes_AS_STRING(event->path);
    Py_XDECREF(lock);
    Py_XDECREF(unsettled);
}

static bool prepare(const Quick *self, Event *event)
{
    Append *append = &event->append;
    SegmentState *segment = (SegmentState *)self->sink->segment;
    Text hash;
    event->link = same(segment->link_part);
    event->chain = same(segment->chain);
    event->hash = same(segment->hash);
    if (!text_of(event->link, &append->link) || !text_of(event->chain, &append->chain)
        || !text_of(event->hash, &hash) || hash.size != HASH_SIZE || !append->link.size
        || !number_of(segment->seq, &append->seq) || append->seq < 0 || append->seq >= MAX_SEQ
        || !number_of(segment->last_ns, &append->last_ns))
        return false;
    memcpy(append->hash, hash.text, HASH_SIZE);
    append->second = self->second;
    append->texts_size = append->opening.size + append->before.size
        + append->json.size + append->before_id.size + append->end.size + append->link.size;
    append->lock_fd = self->sink->lock_fd;
    append->lock_links = self->sink->lock_links;
    append->descriptor = segment->descriptor;
    append->size = segment->size;
    append->max_bytes = segment->max_bytes;
    append->fresh = segment->fresh;
    append->fresh_ns = self->fresh_ns;
    append->room = append->texts_size + LINE_ROOM;
    long long now = wall_ns();
    prepare_look(self, now, event);
    /* What the log says about itself comes first, and Python shows it. */
    event->shows = (PyObject *)self->stdout != Py_None && segment->unshown
        && PyList_CheckExact(segment->unshown) && !PyList_GET_SIZE(segment->unshown)
        && may_show(&event->show, self->stdout, self->recheck_ns);
    if (event->shows)
        event->prefix = same(self->stdout->prefix);
    return append->lock_fd >= 0 && append->descriptor >= 0 && !PyErr_Occurred();
}

/* Make the new end of the chain known. Whether there was the memory for it: if not, the next look
 * finds the record in the file. */
static bool advance(const Quick *self, SegmentState *segment, Event *event)
{
    const Append *append = &event->append;
    PyObject *id = ascii_of(append->id, ID_SIZE);
    PyObject *seq = PyLong_FromLongLong(append->seq + 1);
    PyObject *ns = PyLong_FromLongLong(append->now);
    PyObject *hash = ascii_of(append->hash, HASH_SIZE);
    event->line = PyBytes_FromStringAndSize(append->line, append->length);
    if (id && seq && ns && hash && event->line) {
        PyObject *members[] = {id, event->chain, seq, hash};
        event->receipt = PyObject_Vectorcall(self->receipt, members, 4, NULL);
    }
    Py_XDECREF(id);
    segment->written++;
    if (!event->receipt) {
        Py_XDECREF(seq);
        Py_XDECREF(ns);
        Py_XDECREF(hash);
        return false;
    }
    if (append->looked) {
        segment->fresh = append->now;
        segment->fresh_size = append->size;
        if (append->lock_path)
            self->sink->lock_checked = append->now;
    }
    segment->size = append->size + append->length;
    become(&segment->seq, seq);
    become(&segment->last_ns, ns);
    become(&segment->hash, hash);
    return true;
}

/* The line waits for a sync from here on. */
static bool await_sync(const Quick *self, PyObject *line)
{
    SinkState *sink = self->sink;
    if (!sink->lines || !PyList_CheckExact(sink->lines))
        return true;
    if (PyList_Append(sink->lines, line) < 0)
        return false;
    sink->lines_size += PyBytes_GET_SIZE(line);
    Py_ssize_t waiting = PyList_GET_SIZE(sink->lines);
    bool wakes = sink->calls_again || sink->lines_size > self->most_bytes;
    for (int i = 0; i < WAKES; i++)
        wakes = wakes || waiting == self->wake[i];
    return !wakes || called((PyObject *)sink, self->names[WAKE], NULL);
}

/* Take the thread lock of the sink without waiting for it. It is re-entrant, so that a signal
 * handler which emits is recognised. */
static Mutex *enter(SinkState *sink)
{
    Mutex *mutex = (Mutex *)sink->mutex;
    if (!mutex_try(mutex))
        return NULL;
    if (sink->busy) {
        mutex_release(mutex);
        return NULL;
    }
    sink->busy = 1;
    Py_INCREF(mutex);
    return mutex;
}

/* Give it back, unless a signal handler has forked meanwhile: what is the child's now is not held. */
static void leave(SinkState *sink, Mutex *mutex)
{
    if (sink->mutex == (PyObject *)mutex) {
        sink->busy = 0;
        mutex_release(mutex);
    }
    Py_DECREF(mutex);
}

static void note_shown(const Quick *self, Event *event)
{
    PyObject *rest = remember_shown(&event->show, self->stdout, event->line);
    if (rest != Py_None) {
        event->was_shown = false;
        if (rest)
            called((PyObject *)self->stdout, self->names[BEGIN], rest);
    }
    Py_XDECREF(rest);
}

/* Close the lock file, which is the other way to give its lock back. */
static void drop_lock(const Quick *self, Event *event)
{
    (void)event;
    called((PyObject *)self->sink, self->names[DROP], NULL);
}

/* Do something that calls Python, whether or not an exception is under way, which stays. */
static void aside(const Quick *self, Event *event, void (*work)(const Quick *, Event *))
{
    PyObject *type, *value, *traceback;
    if (!work)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    work(self, event);
    if (type && not_here(self)) {
        PyErr_Restore(type, value, traceback);
        return;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* Whether the record is in the file. The thread lock is held. */
static bool append_held(Quick *self, Event *event, char *space)
{
    Append *append = &event->append;
    Show *show = &event->show;
    bool done;
    Py_ssize_t prefix = event->shows ? show->prefix.size : 0;
    append->line = space + prefix;
    if (prefix)
        memcpy(space, show->prefix.text, (size_t)prefix);
    SegmentState *segment = (SegmentState *)same(self->sink->segment);
    Py_BEGIN_ALLOW_THREADS
    done = append_record(append);
    if (done && event->shows && show->at_once)
        event->was_shown = show_at_once(show, space, prefix + append->length);
    Py_END_ALLOW_THREADS
    if (append->grew)
        self->others = append->now;
    self->second = append->second;
    if (done && advance(self, segment, event)) {
        await_sync(self, event->line);
        aside(self, event, event->was_shown ? note_shown : NULL);
    }
    if (!append->unlocked)
        aside(self, event, drop_lock);
    Py_DECREF(segment);
    return done;
}

/* Whether Python's objects are all there. */
static bool is_whole(const Quick *self)
{
    const SinkState *sink = self->sink;
    return sink->mutex && Py_TYPE(sink->mutex) == self->mutex_type && sink->segment && sink->lines
        && sink->group && (sink->lines == Py_None || PyList_CheckExact(sink->lines))
        && (PyObject *)Py_TYPE(sink->segment) == self->segment_type;
}

/* Whether the event is in the file. */
static bool append_once(Quick *self, Event *event)
{
    char on_stack[ON_STACK];
    bool done = false;
    Mutex *mutex = enter(self->sink);
    if (!mutex)
        return false;
    /* Once more: a signal handler may have run since. */
    if (is_whole(self) && prepare(self, event)) {
        size_t size = (size_t)(event->append.room + MAX_PREFIX);
        char *space = size <= ON_STACK ? on_stack : PyMem_Malloc(size);
        if (space)
            done = append_held(self, event, space);
        if (space != on_stack)
            PyMem_Free(space);
    }
    leave(self->sink, mutex);
    return done;
}

static bool record(Quick *self, PyObject *const *args, Event *event)
{
    if (!self->sink || self->sink->busy || !same_process(self) || !is_whole(self)
        || PyCFunction_GET_FUNCTION(self->time_ns) != self->time_function
        || !compose(self, args, event))
        return false;
    return take_id(self, event) && append_once(self, event);
}

/* What may wait (a file, a device) waits without the thread lock. */
static void show_alone(const Quick *self, Event *event)
{
    Py_BEGIN_ALLOW_THREADS
    event->was_shown = show_in_time(
        &event->show, (Text){PyBytes_AS_STRING(event->line), PyBytes_GET_SIZE(event->line)});
    Py_END_ALLOW_THREADS
    if (event->was_shown)
        note_shown(self, event);
}

/* What came of an event that is in the file. */
static PyObject *recorded(const Quick *self, const Event *event, Unshown *unshown)
{
    bool shown = event->was_shown || (PyObject *)self->stdout == Py_None;
    PyObject *result = NULL;
    if (not_here(self)) {
        if (event->receipt && !shown)
            result = PyTuple_Pack(2, event->line, event->receipt);
        if (result)
            return result;
        if (!not_here(self))
            return NULL;
        result = event->receipt ? same(event->receipt) : PyTuple_New(0);
    }
    /* An interrupt, or no memory to say that the line is to be shown. */
    if (!shown) {
        unshown->line = same(event->line);
        unshown->forgotten = !event->line;
    }
    return result;
}

PyObject *quick_emit(PyObject *object, PyObject *const args[3], Unshown *unshown)
{
    Quick *self = (Quick *)object;
    Event event = {0};
    PyObject *result = NULL;
    if (record(self, args, &event)) {
        if (event.receipt && event.shows && !event.show.at_once && not_here(self))
            show_alone(self, &event);
        result = recorded(self, &event, unshown);
    }
    else if (not_here(self)) {
        result = same(Py_None);
    }
    Py_XDECREF(event.line);
    Py_XDECREF(event.receipt);
    let_go(&event);
    return result;
}

/* -- the object ---------------------------------------------------------------------------------- */

static bool take_wakes(PyObject *given, Py_ssize_t wake[WAKES])
{
    Py_ssize_t count = PyTuple_GET_SIZE(given);
    for (Py_ssize_t i = 0; i < count && i < WAKES; i++)
        wake[i] = PyLong_AsSsize_t(PyTuple_GET_ITEM(given, i));
    return count <= WAKES && !PyErr_Occurred();
}

static bool take_names(PyObject *names[NAMES])
{
    for (int i = 0; i < NAMES; i++) {
        names[i] = PyUnicode_InternFromString(NAME[i]);
        if (!names[i])
            return false;
    }
    return true;
}

/* The members that are owned objects. */
#define OBJECTS(DO)                                                                              \
    DO(table) DO(known) DO(make_json) DO(composer) DO(kinds)                                     \
    DO(context_type) DO(live_type) DO(bound) DO(clock) DO(time_ns) DO(sink) DO(segment_type)     \
    DO(stdout) DO(receipt) DO(before_id) DO(is_interrupt)
#define HOLD(member) Py_INCREF(self->member);
#define VISIT(member) Py_VISIT(self->member);
#define CLEAR(member) Py_CLEAR(self->member);

/* Whether the objects are of the types that are relied on. */
static bool take_states(const Quick *self, const ModuleState *state)
{
    return PyObject_TypeCheck(self->clock, state->clock)
        && PyObject_TypeCheck(self->sink, state->sink) && PyType_Check(self->segment_type)
        && PyType_IsSubtype((PyTypeObject *)self->segment_type, state->segment)
        && ((PyObject *)self->stdout == Py_None
            || PyObject_TypeCheck(self->stdout, state->descriptor));
}

static bool takes_known(PyObject *known)
{
    return PyTuple_GET_SIZE(known) == 2 && PyDict_CheckExact(PyTuple_GET_ITEM(known, 0))
        && PyDict_CheckExact(PyTuple_GET_ITEM(known, 1));
}

/* Read the arguments, which are by name and all needed; `_quick.py` knows what each is. The objects
 * are borrowed. */
static bool take_all(Quick *self, const ModuleState *state, PyObject *args, PyObject *named)
{
    static char *keywords[] = {
        "table",   "known",    "make_json",    "composer",     "kinds",   "context_type",
        "live_type", "bound",  "clock",        "time_ns",      "sink",    "segment_type",
        "stdout",  "receipt",  "before_id",    "fresh_ns",     "recheck_ns", "lock_check_ns",
        "wakes",   "most_bytes", "is_interrupt", "page",       NULL,
    };
    PyObject *wakes, *page;
    self->mutex_type = state->mutex;
    if (!PyArg_ParseTupleAndKeywords(
            args, named, "$O!O!OOO!OOOOO!OOOOULLLO!LOO", keywords, state->table, &self->table,
            &PyTuple_Type, &self->known, &self->make_json, &self->composer, &PyDict_Type,
            &self->kinds, &self->context_type, &self->live_type, &self->bound, &self->clock,
            &PyCFunction_Type, &self->time_ns, &self->sink, &self->segment_type, &self->stdout,
            &self->receipt, &self->before_id, &self->fresh_ns, &self->recheck_ns,
            &self->lock_check_ns, &PyTuple_Type, &wakes, &self->most_bytes, &self->is_interrupt,
            &page))
        return false;
    self->time_function = PyCFunction_GET_FUNCTION(self->time_ns);
    self->pid = getpid();
    if (take_states(self, state) && takes_known(self->known)
        && take_wakes(wakes, self->wake)
        && (page == Py_None || PyObject_GetBuffer(page, &self->page, PyBUF_SIMPLE) == 0))
        return true;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_TypeError, "an argument of Quick has not the form it must have");
    return false;
}

static PyObject *quick_new(PyTypeObject *type, PyObject *args, PyObject *named)
{
    /* Read first: the collector sees an object from its first moment on. */
    Quick read = {.second.second = -1};
    if (!take_all(&read, PyType_GetModuleState(type), args, named))
        return NULL;
    Quick *self = (Quick *)type->tp_alloc(type, 0);
    if (!self) {
        PyBuffer_Release(&read.page);
        return NULL;
    }
    memcpy((char *)self + offsetof(Quick, table), &read.table, sizeof read - offsetof(Quick, table));
    OBJECTS(HOLD)
    if (!take_names(self->names))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int quick_traverse(PyObject *object, visitproc visit, void *arg)
{
    Quick *self = (Quick *)object;
    OBJECTS(VISIT)
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int quick_clear(PyObject *object)
{
    Quick *self = (Quick *)object;
    OBJECTS(CLEAR)
    return 0;
}

static void quick_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    quick_clear(object);
    PyBuffer_Release(&((Quick *)object)->page);
    for (int i = 0; i < NAMES; i++)
        Py_CLEAR(((Quick *)object)->names[i]);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *quick_call(PyObject *object, PyObject *args, PyObject *named)
{
    static char *keywords[] = {"", "", "", NULL};
    PyObject *given[3];
    if (!PyArg_ParseTupleAndKeywords(args, named, "OOO:Quick", keywords, &given[0], &given[1],
                                     &given[2]))
        return NULL;
    Unshown unshown = {NULL, false};
    PyObject *done = quick_emit(object, given, &unshown);
    Py_XDECREF(unshown.line);
    return done;
}

static PyType_Slot quick_slots[] = {
    {Py_tp_doc, "Emitter.emit in the usual case."},
    {Py_tp_new, quick_new},
    {Py_tp_call, quick_call},
    {Py_tp_traverse, quick_traverse},
    {Py_tp_clear, quick_clear},
    {Py_tp_dealloc, quick_dealloc},
    {0, NULL},
};

PyType_Spec quick_spec = {
    .name = "audit_emit._speedups.Quick",
    .basicsize = sizeof(Quick),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = quick_slots,
};

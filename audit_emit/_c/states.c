/* The hot attributes of Python classes as plain members. Python gives them their values. */
#include "speedups.h"

#define MEMBER(type, name, kind, member) {name, kind, offsetof(type, member), 0, NULL}

/* What the three types do alike, given the objects that they hold. */
#define HOLDS(type, own, ...)                                                                    \
    static PyObject **own##_objects(type *self, int at)                                         \
    {                                                                                            \
        PyObject **objects[] = {__VA_ARGS__};                                                    \
        return at < (int)(sizeof objects / sizeof *objects) ? objects[at] : NULL;                \
    }                                                                                            \
    static int own##_traverse(PyObject *self, visitproc visit, void *arg)                       \
    {                                                                                            \
        PyObject **held;                                                                         \
        for (int at = 0; (held = own##_objects((type *)self, at)); at++)                        \
            Py_VISIT(*held);                                                                     \
        Py_VISIT(Py_TYPE(self));                                                                 \
        return 0;                                                                                \
    }                                                                                            \
    static int own##_clear(PyObject *self)                                                      \
    {                                                                                            \
        PyObject **held;                                                                         \
        for (int at = 0; (held = own##_objects((type *)self, at)); at++)                        \
            Py_CLEAR(*held);                                                                     \
        return 0;                                                                                \
    }                                                                                            \
    static void own##_dealloc(PyObject *self)                                                   \
    {                                                                                            \
        PyTypeObject *kind = Py_TYPE(self);                                                      \
        PyObject_GC_UnTrack(self);                                                               \
        own##_clear(self);                                                                      \
        ((freefunc)PyType_GetSlot(kind, Py_tp_free))(self);                                      \
        Py_DECREF(kind);                                                                         \
    }

#define SPEC(type, own, doc, ...)                                                                     \
    static PyType_Slot own##_slots[] = {                                                        \
        {Py_tp_doc, doc},                                                                        \
        {Py_tp_members, own##_members},                                                         \
        {Py_tp_traverse, own##_traverse},                                                       \
        {Py_tp_clear, own##_clear},                                                             \
        {Py_tp_dealloc, own##_dealloc},                                                         \
        __VA_ARGS__{0, NULL},                                                                               \
    };                                                                                           \
    PyType_Spec own##_spec = {                                                                  \
        .name = "audit_emit._speedups." #type,                                                   \
        .basicsize = sizeof(type),                                                               \
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,                  \
        .slots = own##_slots,                                                                   \
    };

HOLDS(ClockState, clock_state, &self->salt, &self->ids)

static PyMemberDef clock_state_members[] = {
    MEMBER(ClockState, "_salt", T_OBJECT_EX, salt),
    MEMBER(ClockState, "ids", T_OBJECT_EX, ids),
    {NULL, 0, 0, 0, NULL},
};

SPEC(ClockState, clock_state, "The hot attributes of a Clock.", )

HOLDS(SinkState, sink_state, &self->mutex, &self->segment, &self->lines, &self->group)

static PyMemberDef sink_state_members[] = {
    MEMBER(SinkState, "_mutex", T_OBJECT_EX, mutex),
    MEMBER(SinkState, "segment", T_OBJECT_EX, segment),
    MEMBER(SinkState, "_lines", T_OBJECT_EX, lines),
    MEMBER(SinkState, "group", T_OBJECT_EX, group),
    MEMBER(SinkState, "_lock_checked", T_LONGLONG, lock_checked),
    MEMBER(SinkState, "_lock_fd", T_INT, lock_fd),
    MEMBER(SinkState, "_lock_links", T_INT, lock_links),
    MEMBER(SinkState, "_busy", T_BOOL, busy),
    MEMBER(SinkState, "_lines_size", T_LONGLONG, lines_size),
    MEMBER(SinkState, "_calls_again", T_BOOL, calls_again),
    {NULL, 0, 0, 0, NULL},
};

SPEC(SinkState, sink_state, "The hot attributes of a JsonlSink.", )

HOLDS(SegmentState, segment_state, &self->hash, &self->chain, &self->link_part, &self->unshown,
      &self->seq, &self->last_ns)

static PyMemberDef segment_state_members[] = {
    MEMBER(SegmentState, "hash", T_OBJECT_EX, hash),
    MEMBER(SegmentState, "chain", T_OBJECT_EX, chain),
    MEMBER(SegmentState, "_link_part", T_OBJECT_EX, link_part),
    MEMBER(SegmentState, "unshown", T_OBJECT_EX, unshown),
    MEMBER(SegmentState, "seq", T_OBJECT_EX, seq),
    MEMBER(SegmentState, "last_ns", T_OBJECT_EX, last_ns),
    MEMBER(SegmentState, "size", T_LONGLONG, size),
    MEMBER(SegmentState, "fresh", T_LONGLONG, fresh),
    MEMBER(SegmentState, "_fresh_size", T_LONGLONG, fresh_size),
    MEMBER(SegmentState, "written", T_LONGLONG, written),
    MEMBER(SegmentState, "_max_bytes", T_LONGLONG, max_bytes),
    MEMBER(SegmentState, "descriptor", T_INT, descriptor),
    {NULL, 0, 0, 0, NULL},
};

SPEC(SegmentState, segment_state, "The hot attributes of a Segment.", )

HOLDS(DescriptorState, descriptor_state, &self->identity, &self->prefix, &self->owed, &self->fault,
      &self->last, &self->dup)

static PyMemberDef descriptor_state_members[] = {
    MEMBER(DescriptorState, "number", T_INT, number),
    MEMBER(DescriptorState, "_identity", T_OBJECT_EX, identity),
    MEMBER(DescriptorState, "_prefix", T_OBJECT_EX, prefix),
    MEMBER(DescriptorState, "_owed", T_OBJECT_EX, owed),
    MEMBER(DescriptorState, "fault", T_OBJECT_EX, fault),
    MEMBER(DescriptorState, "last", T_OBJECT_EX, last),
    MEMBER(DescriptorState, "_max_bytes", T_LONGLONG, max_bytes),
    MEMBER(DescriptorState, "_checked", T_LONGLONG, checked),
    MEMBER(DescriptorState, "_dup", T_OBJECT_EX, dup),
    MEMBER(DescriptorState, "_nowait", T_BOOL, nowait),
    MEMBER(DescriptorState, "_null", T_BOOL, null),
    MEMBER(DescriptorState, "_asks", T_BOOL, asks),
    {NULL, 0, 0, 0, NULL},
};

SPEC(DescriptorState, descriptor_state, "The hot attributes of a Descriptor.", )

HOLDS(EmitterState, emitter_state, &self->quick, &self->file_fault)

static PyMemberDef emitter_state_members[] = {
    MEMBER(EmitterState, "_quick", T_OBJECT_EX, quick),
    MEMBER(EmitterState, "file_fault", T_OBJECT_EX, file_fault),
    MEMBER(EmitterState, "unmade", T_LONGLONG, unmade),
    MEMBER(EmitterState, "unshown", T_LONGLONG, unshown),
    MEMBER(EmitterState, "pending", T_BOOL, pending),
    {NULL, 0, 0, 0, NULL},
};

SPEC(EmitterState, emitter_state, "The hot attributes of an Emitter, and its emit.",
     {Py_tp_methods, emitter_state_methods}, )

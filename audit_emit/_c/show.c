/* A line on standard output: `Descriptor.write`, where all is as it usually is. */
#include "speedups.h"

#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

bool may_show(Show *show, const DescriptorState *sink, long long recheck_ns)
{
    if (!sink->prefix || !PyBytes_CheckExact(sink->prefix) || !sink->owed
        || !PyBytes_CheckExact(sink->owed) || PyBytes_GET_SIZE(sink->owed) || sink->asks
        || !sink->dup || !PyLong_Check(sink->dup) || PyBytes_GET_SIZE(sink->prefix) > MAX_PREFIX)
        return false;
    long number = PyLong_AsLong(sink->dup);
    if (number < 0 || number > INT_MAX || !take_identity(sink->identity, &show->identity))
        return false;
    show->dup = same(sink->dup);
    show->descriptor = (int)number;
    show->nowait = sink->nowait;
    show->at_once = sink->nowait || sink->null;
    show->max_bytes = sink->max_bytes;
    show->prefix = (Text){PyBytes_AS_STRING(sink->prefix), PyBytes_GET_SIZE(sink->prefix)};
    show->checked = sink->checked;
    show->recheck_ns = recheck_ns;
    show->number = sink->number;
    return true;
}

/* `Descriptor._is_ours`, where nothing has changed. */
static bool is_ours(Show *show)
{
    long long now = wall_ns(), age = now - show->checked;
    show->looked = 0;
    if (0 <= age && age <= show->recheck_ns)
        return true;
    if (!is_at(show->number, &show->identity) || !is_at(show->descriptor, &show->identity))
        return false;
    show->looked = now;
    return true;
}

bool show_at_once(Show *show, const char *data, Py_ssize_t length)
{
    show->written = -1;
    if (length > show->max_bytes || !is_ours(show))
        return false;
    if (!show->nowait)
        show->written = write(show->descriptor, data, (size_t)length);
#ifdef RWF_NOWAIT
    else
        show->written = pwritev2(
            show->descriptor, &(struct iovec){(char *)data, (size_t)length}, 1, -1, RWF_NOWAIT);
#endif
    return show->written >= 0;
}

bool show_in_time(Show *show, Text line)
{
    struct iovec parts[] = {
        {(char *)show->prefix.text, (size_t)show->prefix.size},
        {(char *)line.text, (size_t)line.size},
    };
    show->written = -1;
    if (show->prefix.size + line.size <= show->max_bytes && is_ours(show))
        show->written = writev(show->descriptor, parts, 2);
    return show->written >= 0;
}

PyObject *remember_shown(const Show *show, DescriptorState *sink, PyObject *line)
{
    if (show->looked && sink->dup == show->dup)
        sink->checked = show->looked;
    become(&sink->last, same(line));
    if (show->written < show->prefix.size + PyBytes_GET_SIZE(line)) {
        PyObject *whole = PyBytes_FromStringAndSize(show->prefix.text, show->prefix.size);
        PyBytes_Concat(&whole, line);
        PyObject *rest = NULL;
        if (whole)
            rest = PyBytes_FromStringAndSize(PyBytes_AS_STRING(whole) + show->written,
                                             PyBytes_GET_SIZE(whole) - show->written);
        Py_XDECREF(whole);
        return rest;
    }
    become(&sink->fault, same(Py_None));
    return same(Py_None);
}

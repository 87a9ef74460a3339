/* A line on standard output: `Descriptor.write`, where all is as it usually is. */
#include "speedups.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

bool may_show(Show *show, const DescriptorState *sink, long long now, long long recheck_ns)
{
    if (!sink->prefix || !PyBytes_CheckExact(sink->prefix) || !sink->owed
        || !PyBytes_CheckExact(sink->owed) || PyBytes_GET_SIZE(sink->owed) || sink->asks
        || sink->dup < 0 || PyBytes_GET_SIZE(sink->prefix) > MAX_PREFIX)
        return false;
    show->descriptor = sink->dup;
    show->nowait = sink->nowait;
    show->max_bytes = sink->max_bytes;
    show->prefix = (Text){PyBytes_AS_STRING(sink->prefix), PyBytes_GET_SIZE(sink->prefix)};
    long long age = now - sink->checked;
    return 0 <= age && age <= recheck_ns;
}

bool show_line(Show *show, char *space, Py_ssize_t length)
{
    memcpy(space, show->prefix.text, (size_t)show->prefix.size);
    length += show->prefix.size;
    if (length > show->max_bytes)
        return false;
#ifdef RWF_NOWAIT
    if (show->nowait) {
        struct iovec whole = {space, (size_t)length};
        show->written = pwritev2(show->descriptor, &whole, 1, -1, RWF_NOWAIT);
        return show->written >= 0;
    }
#endif
    show->written = write(show->descriptor, space, (size_t)length);
    return show->written >= 0;
}

PyObject *remember_shown(const Show *show, DescriptorState *sink, const char *space,
                         Py_ssize_t length, PyObject *line)
{
    length += show->prefix.size;
    become(&sink->last, same(line));
    if (show->written < length)
        return PyBytes_FromStringAndSize(space + show->written, length - show->written);
    become(&sink->fault, same(Py_None));
    return same(Py_None);
}

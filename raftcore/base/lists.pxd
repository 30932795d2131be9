# Lists that are filled and emptied over and over: an emptied list keeps its memory, and no call goes through Python.
from cpython.object cimport PyObject

cdef extern from *:
    """
    /* As list.append does it where there is room. */
    static CYTHON_INLINE int raft_list_put(PyObject *list, PyObject *item) {
        PyListObject *into = (PyListObject *)list;
        Py_ssize_t size = Py_SIZE(list);
        if (size >= into->allocated) return PyList_Append(list, item);
        Py_INCREF(item);
        into->ob_item[size] = item;
        Py_SET_SIZE(into, size + 1);
        return 0;
    }

    /* Takes the last item out of a list that has one; the list's reference becomes the caller's. */
    static CYTHON_INLINE PyObject *raft_list_take(PyObject *list) {
        Py_ssize_t size = Py_SIZE(list) - 1;
        Py_SET_SIZE((PyListObject *)list, size);
        return ((PyListObject *)list)->ob_item[size];
    }

    /* From the end, so that the list is consistent whenever an item's destructor runs. */
    static CYTHON_INLINE void raft_list_empty(PyObject *list) {
        while (Py_SIZE(list) > 0) {
            PyObject *item = raft_list_take(list);
            Py_DECREF(item);
        }
    }
    """
    # Appends.
    int put_into "raft_list_put" (list items, object item) except -1
    # Takes everything out.
    void empty "raft_list_empty" (list items)
    # For <PyObject*> list: its length, and a borrowed item.
    Py_ssize_t size_of "PyList_GET_SIZE" (PyObject* items) noexcept
    PyObject* item_of "PyList_GET_ITEM" (PyObject* items, Py_ssize_t at) noexcept
    # For <PyObject*> bytes: its length, and its first byte.
    Py_ssize_t size_of_bytes "PyBytes_GET_SIZE" (PyObject* data) noexcept
    const char* at_bytes "PyBytes_AS_STRING" (PyObject* data) noexcept

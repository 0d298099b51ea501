"""A folder that behaves like a group of cgroup v2: what is written to its files acts.

The rules of the kernel that matter here, with its errors: a process is in one group; a group whose
children have controllers holds no process (EBUSY), the top excepted, which stands for what is above
ours; controllers come from the parent; a group goes when it has neither processes nor children.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst.
"""

import errno
import io
import os
from pathlib import Path


class CgroupPath(type(Path())):
    """One group, or a file of one."""

    def open(self, mode="r", *arguments, **fields):
        if "w" not in mode:
            return super().open(mode, *arguments, **fields)
        if not self.exists():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return _Write(self)

    def mkdir(self, *arguments, **fields):
        is_new = not self.exists()
        super().mkdir(*arguments, **fields)
        if is_new:
            self.fill(self.parent.lines("cgroup.subtree_control"))

    def rmdir(self):
        if self.lines("cgroup.procs") or self.children():
            refuse(errno.EBUSY)
        for path in self.iterdir():
            path.unlink()
        super().rmdir()

    # -- how the kernel does it

    def fill(self, controllers, procs=()):
        """Make the files of a new group."""
        self.put("cgroup.type", ["domain"])
        self.put("cgroup.controllers", controllers)
        self.put("cgroup.subtree_control", [])
        self.put("cgroup.procs", procs)
        if "cpu" in controllers:
            self.put("cpu.weight", ["100"])

    def put(self, name, words):
        os.makedirs(self, exist_ok=True)
        with io.open(self / name, "w") as file:  # noqa: UP020 # `open` of this class is another
            file.write("".join(f"{word}\n" for word in words))

    def lines(self, name):
        return (self / name).read_text().split()

    def children(self):
        return [path for path in self.iterdir() if path.is_dir()]

    def everywhere(self):
        """Return all groups of the tree."""
        top = self
        while (top.parent / "cgroup.procs").exists():
            top = top.parent
        return [type(self)(folder) for folder, _, _ in os.walk(top)]

    def write(self, text):
        group, name = self.parent, self.name
        if name == "cgroup.procs":
            group.admit(text)
        elif name == "cgroup.subtree_control":
            group.control(text)
        elif name == "cpu.weight" and 1 <= int(text) <= 10_000:
            group.put(name, [text])
        else:
            refuse(errno.EINVAL)

    def admit(self, pid):
        if not os.path.exists(f"/proc/{pid}"):
            refuse(errno.ESRCH)
        if self.lines("cgroup.subtree_control"):
            refuse(errno.EBUSY)
        for group in self.everywhere():
            group.put("cgroup.procs", [p for p in group.lines("cgroup.procs") if p != pid])
        self.put("cgroup.procs", [*self.lines("cgroup.procs"), pid])

    def control(self, text):
        sign, name = text[0], text[1:]
        if sign == "+":
            if name not in self.lines("cgroup.controllers"):
                refuse(errno.ENOENT)
            if self.lines("cgroup.procs"):
                refuse(errno.EBUSY)
        enabled = [name] if sign == "+" else []
        if any(child.lines("cgroup.subtree_control") for child in self.children() if not enabled):
            refuse(errno.EBUSY)
        self.put("cgroup.subtree_control", enabled)
        for child in self.children():
            child.put("cgroup.controllers", enabled)
            if enabled:
                child.put("cpu.weight", ["100"])
            else:
                (child / "cpu.weight").unlink(missing_ok=True)


class _Write(io.StringIO):
    """What is written acts when it is complete."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def close(self):
        if not self.closed:
            text = self.getvalue()
            super().close()
            self._path.write(text)


def refuse(code):
    raise OSError(code, os.strerror(code))

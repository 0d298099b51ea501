"""Runs `insula start` as if its own group were FOLDER, which is laid out like cgroup v2.

python -m tests.fakes.cgroup_stack FOLDER start …
"""

import os
import sys

from cli import cpu_groups
from cli.main import main
from tests.fakes.cgroup_path import CgroupPath

if __name__ == "__main__":
    group = CgroupPath(sys.argv.pop(1))
    group.fill(["cpu"], [str(os.getpid())])
    cpu_groups.own_group = lambda mounts, membership: group
    cpu_groups.DelegatedGroup._check = lambda _: (
        None
    )  # it is nobody's mark of delegation that counts
    main()

"""Disks whose flushes take as long as a test wants.

A preloaded library wraps fdatasync and fsync. Before each flush it reads a number of milliseconds
from a file and waits that long. While the number is negative, it waits for another number.
"""

import subprocess
from pathlib import Path

FOREVER = -1
"""The delay at which no flush ends."""
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long milliseconds(void) {
  const char *path = getenv("STALL_FILE");
  FILE *file = path ? fopen(path, "r") : NULL;
  long found = 0;
  if (file) {
    if (fscanf(file, "%ld", &found) != 1) found = 0;
    fclose(file);
  }
  return found;
}

static void stall(void) {
  long wait = milliseconds();
  if (wait > 0) usleep(wait * 1000);
  while (wait < 0) {
    usleep(5000);
    wait = milliseconds();
  }
}

int fdatasync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  stall();
  return real(fd);
}

int fsync(int fd) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  stall();
  return real(fd);
}
"""


class Stalls:
    """The library, and the delay of the flushes of each node."""

    def __init__(self, directory: Path) -> None:
        """Build the library with the C compiler `cc`."""
        self._directory = directory
        self._library = directory / "stalls.so"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(self._library), "-ldl"]
        subprocess.run(command, input=_SOURCE, text=True, check=True)

    def environ(self, name: str) -> dict[str, str]:
        """Return the environment that preloads the library into a node."""
        return {"LD_PRELOAD": str(self._library), "STALL_FILE": str(self._file(name))}

    def set(self, name: str, milliseconds: int) -> None:
        """Delay each further flush of a node; with `FOREVER` no flush ends."""
        draft = self._file(name).with_suffix(".new")
        draft.write_text(str(milliseconds))
        draft.replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self._directory / f"stall.{name}"

    def __repr__(self) -> str:
        return f"<Stalls in {self._directory}>"

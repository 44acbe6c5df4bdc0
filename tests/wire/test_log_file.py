"""Log files of a real process: bounded in size and number, without a lost line in between."""

import signal
import subprocess
import sys
from pathlib import Path

from ddb.runtime.log_file import LOG_FILE_BYTES, LOG_FILES, shift

LINE = 1000
WRITER = """
import os, signal, sys
from pathlib import Path
from ddb.runtime.log_file import LogFile
file = LogFile(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    line = f"{number} ".ljust(999, "x") + "\\n"
    file.make_room(len(line))
    os.write(2, line.encode())
print("printed", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def files(path: Path) -> list[Path]:
    """Return the files of one log, oldest first."""
    return sorted(path.parent.iterdir(), reverse=True)


def numbers(path: Path) -> list[int]:
    """Return the numbers of the lines in all files, oldest first."""
    text = "".join(each.read_text(encoding="utf-8") for each in files(path))
    return [int(line.split()[0]) for line in text.splitlines() if line.endswith("x")]


def wrote(path: Path, count: int) -> None:
    """Run a process that writes `count` lines and kills itself."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), str(count)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, "", "")


def test_files_are_bounded_and_only_the_oldest_lines_are_lost(tmp_path: Path) -> None:
    """After 45 MB there are three files of at most 10 MB, with every line up to the last."""
    path, count = tmp_path / "x.log", 45_000
    wrote(path, count)
    names = [each.name for each in files(path)]
    assert names == ["x.log.2", "x.log.1", "x.log"]
    assert all(each.stat().st_size <= LOG_FILE_BYTES for each in files(path))
    found = numbers(path)
    assert found == list(range(found[0], count))
    assert len(found) * LINE > (LOG_FILES - 1) * LOG_FILE_BYTES


def test_output_after_a_rename_is_in_the_new_file(tmp_path: Path) -> None:
    """Output after a rename is in the present file, even if the process is killed."""
    path = tmp_path / "x.log"
    wrote(path, 11_000)
    assert path.read_text(encoding="utf-8").endswith("printed\n")


def test_file_goes_on_where_no_new_one_can_be_made(tmp_path: Path) -> None:
    """Every line stays in the present file if the next one cannot be created."""
    path = tmp_path / "x.log"
    (tmp_path / "x.log.new").mkdir()
    wrote(path, 12_000)
    assert not (tmp_path / "x.log.1").exists()
    text = path.read_text(encoding="utf-8").splitlines()
    assert [int(line.split()[0]) for line in text[:-1]] == list(range(12_000))


def test_lines_of_an_earlier_process_are_kept(tmp_path: Path) -> None:
    """A process appends to the file of an earlier one."""
    path = tmp_path / "x.log"
    wrote(path, 10)
    wrote(path, 10)
    assert numbers(path) == [*range(10)] * 2


def test_shift_keeps_three(tmp_path: Path) -> None:
    """The first of four successive files is lost."""
    path = tmp_path / "x.log"
    for number in range(4):
        path.write_text(f"{number} x\n", encoding="utf-8")
        shift(path)
    assert not path.exists()
    assert [each.name for each in files(path)] == ["x.log.2", "x.log.1"]
    assert numbers(path) == [2, 3]

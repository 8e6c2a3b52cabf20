"""What quickstart does when something is missing. Its functions are called, with a package manager of the test's own."""

import subprocess

import pytest

from harness import settings

# What `has` finds changes with what is installed; this system knows no browser.
SYSTEM = """
here=" $HERE "
has() { [[ $here == *" $1 "* ]]; }
id() { echo "$USER_ID"; }
package_manager() { echo apt-get; }
apt-get() {
  local name
  [ "${*: -1}" != update ] || { echo "update"; return; }
  for name; do case $name in chromium) return 100 ;; esac; done
  echo "apt-get ${*: -1}"
  case ${*: -1} in
    g++) here+="cxx " ;;
    libpython3-dev) here+="python-dev " ;;
    *) here+="${*: -1} " ;;
  esac
}
"""


def call(what, here="", user=0):
    text = (settings.ROOT / "quickstart").read_text().rpartition("main ")[0]
    # The folder that it goes to is its own.
    text = text.replace('cd "$(dirname "$0")"\n', "")
    return subprocess.run(
        ["bash", "-c", f"{text}{SYSTEM}{what}\necho done"], capture_output=True, text=True,
        cwd=settings.ROOT, env={"PATH": "/usr/bin:/bin", "HERE": here, "USER_ID": str(user)},
    )


def test_ws_015_01_root_installs_what_helps_one_by_one_and_goes_on_without_the_rest():
    done = call("install_what_helps python-dev browser gdb")
    assert done.returncode == 0, done.stderr
    installed = [line for line in done.stdout.splitlines() if not line.startswith("Installing")]
    assert installed == ["update", "apt-get libpython3-dev", "apt-get gdb", "done"]
    assert done.stderr == "Going on without browser: some tests will be left out.\n"


def test_ws_015_02_another_user_is_told_what_would_help():
    done = call("install_what_helps python-dev browser gdb", here="gdb", user=1000)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert done.stderr.splitlines() == [
        "Going on without python-dev browser: some tests will be left out.",
        "  sudo apt-get install --no-install-recommends chromium chromium-driver libpython3-dev",
    ]


def test_ws_015_03_what_the_build_needs_is_needed():
    assert call("install_missing_packages make cxx", here="make").stdout.endswith("apt-get g++\ndone\n")
    done = call("install_missing_packages make cxx", here="make", user=1000)
    assert (done.returncode, done.stdout) == (1, "")
    assert "  sudo apt-get install --no-install-recommends g++" in done.stderr
    done = call("install_missing_packages browser")
    assert done.returncode == 1 and "Could not install them" in done.stderr


@pytest.mark.parametrize("what", ["install_missing_packages make", "install_what_helps make"])
def test_ws_015_04_nothing_is_installed_when_all_is_there(what):
    done = call(what, here="make")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_ws_015_05_each_need_of_the_table_has_packages_and_a_way_to_be_found():
    done = call("""
      for need in "${needs_to_build[@]}" cxx pkg-config python-dev lua-dev browser gdb; do
        for manager in apt-get dnf zypper pacman; do
          [ -n "$(packages_for "$manager" "$need")" ] || echo "$need on $manager"
        done
      done""")
    assert done.stdout == "done\n"

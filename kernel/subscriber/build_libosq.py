# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compile libosq and all of uapi/osq.h into the Python module `_libosq`.

The compiler's preprocessor writes the declarations from the headers, so no struct, number or
prototype is written a second time. cffi compares each of them with the C compiler's layout.

    python build_libosq.py FOLDER           # writes FOLDER/_libosq.*.so
    python build_libosq.py --source FILE.c  # writes only the source, to build with libosq.so

setup.py builds the first form into a wheel, the Makefile the second form into a package.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
KERNEL = HERE.parent
UAPI, CLIENT = KERNEL / "uapi", KERNEL / "client"
DEADLINE_S = 60.0
# cffi cannot read the system's headers. It knows `size_t`, `uint32_t` and similar types, so
# only Linux's own type names, which are the same on every architecture, are declared here.
SYSTEM_HEADERS = {
    "stddef.h": "",
    "stdint.h": "",
    "sys/ioctl.h": "",
    "linux/types.h": """
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef long long __s64;
""",
}
_ASSERT = re.compile(r"_Static_assert\s*\(.*?\)\s*;", re.DOTALL)
# Only numbers are declared: ioctl macros and the one string constant are left out.
_NUMBER = re.compile(r"^#define (OSQ_(?!IOC_|DEVICE|UAPI_H)[A-Z0-9_]+) \S", re.MULTILINE)


def declarations() -> str:
    """Return the declarations of libosq.h and osq.h in the form that cffi reads."""
    text = _ASSERT.sub("", _preprocess("-P"))
    numbers = sorted(set(_NUMBER.findall(_preprocess("-dM"))))
    device = "static const char *osq_device_path(void);\n"
    return text + device + "".join(f"#define {name} ...\n" for name in numbers)


def _preprocess(option: str) -> str:
    """Return what `cc -E` makes of libosq.h with an option: -P for its C text, -dM for its macros.

    SYSTEM_HEADERS replace the system's headers, which cffi cannot read.
    """
    with tempfile.TemporaryDirectory() as system:
        for name, text in SYSTEM_HEADERS.items():
            (Path(system) / name).parent.mkdir(exist_ok=True)
            (Path(system) / name).write_text(text)
        include = [f"-I{system}", f"-I{UAPI}", f"-I{CLIENT}"]
        command = ["cc", "-E", option, "-nostdinc", *include, str(CLIENT / "libosq.h")]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=DEADLINE_S
        )
    return done.stdout


def builder(library: str = "libosq.c") -> FFI:
    """Return cffi's builder of the module `_libosq`; setuptools requires a function of this name.

    library: the C source to include; libosq.h when the module is linked with libosq.so.
    """
    ffi = FFI()
    ffi.cdef(declarations())
    # The source is included, because setuptools accepts no source file outside its own folder.
    ffi.set_source(
        "_libosq",
        f'#include "{library}"\n'
        "static const char *osq_device_path(void) { return OSQ_DEVICE; }\n",
        include_dirs=[str(UAPI), str(CLIENT)],
        extra_compile_args=["-std=gnu11", "-O2"],
    )
    return ffi


if __name__ == "__main__":
    if sys.argv[1] == "--source":
        builder("libosq.h").emit_c_code(sys.argv[2])
    else:
        builder().compile(tmpdir=sys.argv[1])

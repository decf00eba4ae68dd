"""The compiled kernel, beside setup.cfg, which has all the rest. Optional: without a compiler the package installs and runs on NumPy."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "recoworld.simulators._native",
            ["recoworld/simulators/_native.c"],
            optional=True,
            # no fused or reordered arithmetic: the same numbers from every compiler
            extra_compile_args=["-std=c11", "-O3", "-ffp-contract=off"],
        )
    ]
)

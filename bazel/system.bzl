"""Debian's libraries as Bazel targets: @system//:NAME, with the flags that pkg-config gives where there is a .pc file."""

# name: pkg-config modules (resolved to linker flags).
_PKG_CONFIG = {
    "cares": ["libcares"],
    "openssl": ["openssl"],
    "prometheus": ["prometheus-cpp-core"],
    "protobuf": ["protobuf"],
    "re2": ["re2"],
    "yaml_cpp": ["yaml-cpp"],
    "zlib": ["zlib"],
    "absl": [
        "absl_status",
        "absl_statusor",
        "absl_strings",
        "absl_str_format",
        "absl_cord",
        "absl_flat_hash_map",
        "absl_flat_hash_set",
        "absl_node_hash_map",
        "absl_hash",
        "absl_inlined_vector",
        "absl_span",
        "absl_time",
        "absl_synchronization",
        "absl_optional",
        "absl_any_invocable",
        "absl_function_ref",
        "absl_cleanup",
        "absl_random_random",
    ],
}

# name: linker flags, for header-only libraries and those without a .pc file.
_PLAIN = {
    "boost": ["-lpthread"],
    "catch2": [],
    "crypt": ["-lcrypt"],
}

def _system_impl(ctx):
    lines = ['package(default_visibility = ["//visibility:public"])', ""]
    flags = {name: list(value) for name, value in _PLAIN.items()}
    for name, modules in _PKG_CONFIG.items():
        result = ctx.execute(["pkg-config", "--libs"] + modules)
        if result.return_code != 0:
            fail("pkg-config does not know %s: run tools/setup (%s)" % (modules, result.stderr))
        flags[name] = [flag for flag in result.stdout.strip().split(" ") if flag]
    for name in sorted(flags):
        lines.append("cc_library(name = %r, linkopts = %r)" % (name, flags[name]))
    ctx.file("BUILD", "\n".join(lines) + "\n")
    ctx.file("WORKSPACE", "workspace(name = \"system\")\n")

_system = repository_rule(
    implementation = _system_impl,
    local = True,
    configure = True,
)

def system_libraries(name):
    """Declares the repository of system libraries."""
    _system(name = name)

"""What a workspace that builds Sluice needs beside it: the repositories that are not Sluice itself."""

load(":system.bzl", "system_libraries")

def sluice_dependencies(root = ""):
    """Declares them.

    Args:
      root: the path of Sluice's checkout from the workspace, with a slash behind it; empty in Sluice itself.
    """

    # Debian's own bazel-rules-cc is too new for its Bazel 4.2.3; ours hands on the native rules.
    native.local_repository(
        name = "rules_cc",
        path = root + "bazel/rules_cc",
    )
    native.local_repository(
        name = "rules_java",
        path = "/usr/share/bazel/rules/java",
    )

    # `bazel test` asks for this repository by name and would download it otherwise.
    native.local_repository(
        name = "remote_coverage_tools",
        path = root + "bazel/coverage_tools",
    )
    system_libraries(name = "system")

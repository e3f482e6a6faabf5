"""Protocol buffers as C++, by Debian's protoc (Bazel's own proto rules would want to download theirs)."""

def cc_proto_tree(name, srcs, root, visibility = None):
    """One protoc run over a tree of .proto files and one cc_library of what it writes.

    Args:
      name: the cc_library. Its headers are included from the root of the repository: "<package>/<path>.pb.h".
      srcs: the .proto files. They import one another relative to this package, the way Envoy's do.
      root: the first folders of those imports, whose includes in the generated code get this package's name in front.
      visibility: of the cc_library.
    """
    package = native.package_name()

    # Where the sources lie, seen from the root of the build: elsewhere when another workspace builds this one.
    repository = native.repository_name()[1:]
    folder = "external/%s/%s" % (repository, package) if repository else package
    headers = [src.replace(".proto", ".pb.h") for src in srcs]
    sources = [src.replace(".proto", ".pb.cc") for src in srcs]
    native.genrule(
        name = name + "_protoc",
        srcs = srcs,
        outs = headers + sources,
        cmd = "protoc -I%s -I/usr/include --cpp_out=$(RULEDIR) $(SRCS) && " % folder +
              "sed -i -E 's@^#include \"(%s)/@#include \"%s/\\1/@' $(OUTS)" % ("|".join(root), package),
    )
    native.cc_library(
        name = name,
        srcs = sources,
        hdrs = headers,
        # The code is generated and optimised for size; -O1 halves the time to compile it.
        copts = ["-O1", "-w"],
        linkstatic = True,
        # A type that only an Any names is found by reflection: its file must be linked although nothing refers to it.
        alwayslink = True,
        visibility = visibility,
        deps = ["@system//:protobuf"],
    )

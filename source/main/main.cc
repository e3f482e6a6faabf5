// The sluice binary.
#include "extensions/builtin.h"
#include "source/server/run.h"

int main(int argc, char** argv) {
  return sluice::RunSluice(argc, argv, sluice::RegisterBuiltinExtensions);
}

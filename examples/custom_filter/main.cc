// A proxy with everything that Sluice has, and one filter more.
#include "extensions/builtin.h"
#include "shout/filter.h"
#include "source/server/run.h"

int main(int argc, char** argv) {
  return sluice::RunSluice(argc, argv, [](sluice::Registry& registry) {
    sluice::RegisterBuiltinExtensions(registry);
    shout::Register(registry);
  });
}

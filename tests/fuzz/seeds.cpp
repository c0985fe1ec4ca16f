// SPDX-License-Identifier: MIT
// The fuzzers' functions without a fuzzer: what libFuzzer's main() does with files, with the compiler and objects of the other tests.
#include "common/host/real_host.hpp"

#include <cstdio>

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

int main(int argc, char** argv) {
  LLVMFuzzerInitialize(&argc, &argv);
  for (int i = 1; i < argc; ++i) {
    const std::string input = pvegpu::RealHost().read_file(argv[i]).or_fail("read an input");
    std::fprintf(stderr, "%s\n", argv[i]);  // the last one is the one that breaks something
    LLVMFuzzerTestOneInput(reinterpret_cast<const unsigned char*>(input.data()), input.size());
  }
}

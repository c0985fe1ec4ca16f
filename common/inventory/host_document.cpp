// SPDX-License-Identifier: MIT
// The facts document of a host.
#include "common/inventory/host_document.hpp"

namespace pvegpu::gpu {

HostDocument read_host(Reader& reader) {
  HostDocument out{read_machine(reader), {}, {}, {}};
  for (const Gpu& gpu : out.gpus) out.technologies.push_back(judge_technologies(reader.host(), out, gpu));
  out.resources = list_resources(reader, out, out.technologies);
  out.form = guess_form(out.gpus, out.technologies, out.facts);
  return out;
}

}  // namespace pvegpu::gpu

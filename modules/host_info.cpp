// SPDX-License-Identifier: MIT
// host_info: one facts document about a host and its GPUs. It changes nothing and needs no root.
#include "common/core/judgements.hpp"
#include "common/inventory/host_info.hpp"

namespace pvegpu {
namespace host_info {
namespace {

struct Params {
  std::optional<std::string> record;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  Reader reader(host);
  gpu::HostDocument document = gpu::read_host(reader);
  out.report(gpu::tell(std::move(document), reader));
  if (!params.record) return;
  if (!params.record->starts_with('/')) throw ModuleError(fmt::format("parameter 'record': '{}' is no absolute path", *params.record));
  const std::string path = *params.record, recording = record::pack(record_judgements(registry(), host, {}));
  if (const auto there = host.read_file(path); there && *there == recording) return;
  Step step;
  step.target = "write out " + path;
  step.apply = [path, recording](Host& real) { return real.write_file(path, recording, {.mode = 0600, .uid = {}, .gid = {}}); };
  out.effect(std::move(step));
}

const ModuleDoc doc{
    .name = "host_info",
    .summary = "GPUs of a Proxmox VE host and what they can be used for",
    .description = {"Returns one document about the host and each of its GPUs: ids, board, driver, IOMMU group, virtual functions, vGPU "
                    "types, guests that "
                    "use it, which of seven ways of giving it to guests are possible and ready, and what each of them still lacks.",
                    "It also says what a desktop broker can assign, and which of six hardware forms the host looks like.",
                    "What can't be read, for example without root, is V(null) and is listed with the reason in RV(unreadable). The task "
                    "does not fail for "
                    "that, nor for a host without a GPU."},
    .examples = R"(
- name: What GPUs are there, and what are they ready for
  pve.gpu.host_info:
  register: info

- name: Record the host for a bug report
  pve.gpu.host_info:
    record: /root/recording.json.gz

- name: Show what each vGPU board lacks
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.technologies.nvidia_vendor_vfio.missing }}"
  loop: "{{ info.gpus }}"
  when: item.technologies.nvidia_vendor_vfio.possible
)",
    .answer = answer_of<gpu::HostInfo>,
    .notes = {"Without root the guests' configurations can't be read, so RV(gpus[].used_by) is V(null)."},
    .effects = Effects::none,
};

}  // namespace
}  // namespace host_info

PVEGPU_MODULE(
    host_info, host_info::Params, host_info::doc,
    Spec<host_info::Params>{}.param(
        "record", &host_info::Params::record,
        {.doc = "Also writes a recording of this host there, a file on the host: what it answers to the questions of every module, "
                "for bug reports. Names of hosts, guests and users, addresses, UUIDs and serial numbers are masked, secrets are left "
                "out; C(zcat) shows it. The file is new each time, which counts as a change."}),
    host_info::plan)

}  // namespace pvegpu

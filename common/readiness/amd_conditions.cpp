// SPDX-License-Identifier: MIT
// AMD MxGPU. It is recognised and told; this collection installs nothing for it.
#include "common/readiness/conditions.hpp"

namespace pvegpu::readiness {

void amd_board(const Question& q, Condition& out) {
  const char* instead = "pass it through whole: pve.gpu.vfio";
  if (!q.gpu->is_amd()) return out.fail_for_ever("it is not an AMD card", instead);
  if (!q.gpu->board() || q.gpu->board()->technology != catalogue::Technology::amd_mxgpu)
    out.fail_for_ever("AMD's GIM driver does not list it: MxGPU is there for Instinct accelerators, not for desktop Radeons", instead);
}

void amd_driver(const Question& q, Condition& out) {
  if (!q.facts().has_driver("gim"))
    return out.fail("AMD's driver gim is not loaded, which makes its VFs by itself (its parameter vf_num)",
                    hands("install AMD's gim driver by AMD's instructions"));
  if (q.gpu->sriov.enabled == 0) out.fail("gim made no VFs", hands("see its parameter vf_num and dmesg"));
}

}  // namespace pvegpu::readiness

// SPDX-License-Identifier: MIT
// What is told of a plan.
#include "common/pools/report.hpp"

namespace pvegpu::pools {

void PoolAnswer::fields(Reply<PoolAnswer>& out) {
  out.field("name", &PoolAnswer::name, {.doc = "Name of the pool."});
  out.field("vgpu_type", &PoolAnswer::vgpu_type, {.doc = "The vGPU type by its whole name, V(Intel-vGPU) or V(GPU Passthrough)."});
  out.field("models", &PoolAnswer::models, {.doc = "Models of the GPUs that serve it."});
  out.field("desktops", &PoolAnswer::desktops, {.doc = "How many desktops it wants."});
  out.field("placed", &PoolAnswer::placed, {.doc = "How many of them have a seat."});
  out.field("seats", &PoolAnswer::seats, {.doc = "Seats on its GPUs."});
  out.field("spare_seats", &PoolAnswer::spare_seats, {.doc = "Seats beyond the desktops."});
  out.field(
      "surviving_seats", &PoolAnswer::surviving_seats,
      {.doc =
           "Seats that are left when as many nodes fail as it wants to survive, those with the most seats; V(null) when it wants none."});
  out.field("gpus", &PoolAnswer::gpus, {.doc = "How many GPUs serve it."});
  out.field("nodes", &PoolAnswer::nodes, {.doc = "On how many nodes these are."});
  out.field("mapping", &PoolAnswer::mapping,
            {.doc = "The resource mapping that it needs, V(null) when it needs none.", .null_if_empty = true});
  out.field(
      "licence", &PoolAnswer::licence,
      {.doc =
           "The least NVIDIA product that licenses its type (V(vws), V(vpc), V(vapps), V(ai_enterprise) or V(vgaming)), V(null) for none.",
       .null_if_empty = true});
  out.field("fits", &PoolAnswer::fits, {.doc = "Whether it gets all it wants."});
  out.field("reasons", &PoolAnswer::reasons, {.doc = "Why it does not, as sentences with numbers."});
  out.field("nearest", &PoolAnswer::nearest, {.doc = "What would fit in its place, the least change first."});
}

void GpuAnswer::fields(Reply<GpuAnswer>& out) {
  out.field("node", &GpuAnswer::node, {.doc = "Its node."});
  out.field("address", &GpuAnswer::address, {.doc = "Its PCI address."});
  out.field("model", &GpuAnswer::model, {.doc = "Its model."});
  out.field("pool", &GpuAnswer::pool, {.doc = "The pool that it serves, V(null) when it is left.", .null_if_empty = true});
  out.field("vgpu_type", &GpuAnswer::vgpu_type, {.doc = "The type that it has then.", .null_if_empty = true});
  out.field("seats", &GpuAnswer::seats, {.doc = "How many desktops it serves."});
  out.field("mapping", &GpuAnswer::mapping, {.doc = "The resource mapping that holds it then.", .null_if_empty = true});
  out.field("before", &GpuAnswer::before, {.doc = "The pool whose mapping holds it today.", .null_if_empty = true});
  out.field("change", &GpuAnswer::change,
            {.doc = "V(keep), V(move) from one pool to another, V(new), V(release), or V(none) for a GPU that no pool has or gets."});
  out.field("running", &GpuAnswer::running, {.doc = "Guests that run on it now."});
  out.field("missing", &GpuAnswer::missing, {.doc = "What it still lacks for that, as M(pve.gpu.host_info) says it."});
}

void EntryAnswer::fields(Reply<EntryAnswer>& out) {
  out.field("node", &EntryAnswer::node, {.doc = "The node."});
  out.field("address", &EntryAnswer::address, {.doc = "PCI address of the GPU."});
  out.field("functions", &EntryAnswer::functions, {.doc = "V(card) for the GPU itself, V(vfs) for its virtual functions."});
  out.field("seats", &EntryAnswer::seats, {.doc = "How many desktops it serves. So many virtual functions are enough in the mapping."});
}

void MappingAnswer::fields(Reply<MappingAnswer>& out) {
  out.field("name", &MappingAnswer::name, {.doc = "Name of the mapping."});
  out.field("pool", &MappingAnswer::pool, {.doc = "Its pool."});
  out.field("vgpu_type", &MappingAnswer::vgpu_type, {.doc = "The type that guests ask of it."});
  out.field("mdev", &MappingAnswer::mdev,
            {.doc = "Whether it is one of mediated devices, as vGPUs are for Proxmox VE on every framework of NVIDIA's."});
  out.field("action", &MappingAnswer::action, {.doc = "V(create), V(change) or V(keep)."});
  out.field("entries", &MappingAnswer::entries, {.doc = "The GPUs that it holds."});
  out.field("unknown_nodes", &MappingAnswer::unknown_nodes,
            {.doc = "Nodes of today's mapping of which there is no document. Their entries are not judged."});
}

void OverlapAnswer::fields(Reply<OverlapAnswer>& out) {
  out.field("mapping", &OverlapAnswer::mapping, {.doc = "The other mapping."});
  out.field("node", &OverlapAnswer::node, {.doc = "The node."});
  out.field("address", &OverlapAnswer::address, {.doc = "The GPU."});
  out.field("pool", &OverlapAnswer::pool, {.doc = "The pool that gets the GPU."});
}

void LeftAnswer::fields(Reply<LeftAnswer>& out) {
  out.field("model", &LeftAnswer::model, {.doc = "The model."});
  out.field("gpus", &LeftAnswer::gpus, {.doc = "How many."});
  out.field("nodes", &LeftAnswer::nodes, {.doc = "On how many nodes."});
}

void LicenceAnswer::fields(Reply<LicenceAnswer>& out) {
  out.field("licence", &LicenceAnswer::licence, {.doc = "The product."});
  out.field("desktops", &LicenceAnswer::desktops, {.doc = "How many at once."});
}

void BetterAnswer::fields(Reply<BetterAnswer>& out) {
  out.field("desktops", &BetterAnswer::desktops, {.doc = "More desktops."});
  out.field("spare_seats", &BetterAnswer::spare_seats, {.doc = "Fewer missing spare seats."});
  out.field("gpus_used", &BetterAnswer::gpus_used, {.doc = "Fewer GPUs."});
  out.field("gpus_changed", &BetterAnswer::gpus_changed, {.doc = "Fewer changes."});
}

void QualityAnswer::fields(Reply<QualityAnswer>& out) {
  out.field("desktops", &QualityAnswer::desktops, {.doc = "Desktops that all pools want."});
  out.field("placed", &QualityAnswer::placed, {.doc = "Desktops that have a seat."});
  out.field("missing_spare_seats", &QualityAnswer::missing_spare_seats,
            {.doc = "Seats that are missing for spare shares, for nodes that may fail and for nodes' minimums."});
  out.field("gpus_used", &QualityAnswer::gpus_used, {.doc = "GPUs that serve a pool."});
  out.field("gpus_changed", &QualityAnswer::gpus_changed, {.doc = "Of these, those that do not serve it today."});
  out.field("best", &QualityAnswer::best, {.doc = "Whether it is proven that there is no better plan."});
  out.field("at_most_better_by", &QualityAnswer::at_most_better_by,
            {.doc = "How much better a plan could be at most, in the first of these that is not 0. All are 0 for the best plan."});
}

void Answer::fields(Reply<Answer>& out) {
  out.field("fits", &Answer::fits, {.doc = "Whether every pool gets all it wants."});
  out.field("pools", &Answer::pools, {.doc = "The pools, in the order of O(pools)."});
  out.field("gpus", &Answer::gpus, {.doc = "Every GPU, by node and address. Consoles are left out."});
  out.field("mappings", &Answer::mappings, {.doc = "The resource mappings that the plan needs."});
  out.field("overlaps", &Answer::overlaps,
            {.doc = "GPUs of the plan that other mappings hold today as well. Take them out there, else two pools meet on one GPU."});
  out.field("left", &Answer::left, {.doc = "GPUs that serve no pool, by model."});
  out.field("licences", &Answer::licences, {.doc = "The NVIDIA licences that the placed desktops need."});
  out.field("quality", &Answer::quality, {.doc = "How good the plan is."});
  out.field("notes", &Answer::notes, {.doc = "What else is worth knowing."});
}

}  // namespace pvegpu::pools

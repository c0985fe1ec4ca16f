// SPDX-License-Identifier: MIT
// For headers that say that a struct is told in answers (reply.hpp), and no more.
#pragma once

namespace pvegpu {

template <class T, bool is_document = false>
class Reply;
/// A Reply that other modules take in.
template <class T>
using Document = Reply<T, true>;

}  // namespace pvegpu

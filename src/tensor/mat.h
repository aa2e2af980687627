// Mat<T>: a view of a row-major matrix, [rows, cols], with rows `stride` elements apart. It owns nothing.
// Mat<const float> is read, Mat<float> is written; swapping the two does not compile.
// AlignedBuffer<T>: owned, 64-byte aligned, grow-only storage for scratch.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace mobilevlm {

template <class T>
class Mat {
 public:
  Mat() = default;
  Mat(T* data, size_t rows, size_t cols) : Mat(data, rows, cols, cols) {}
  Mat(T* data, size_t rows, size_t cols, size_t stride)
      : data_(data), rows_(rows), cols_(cols), stride_(stride) {}
  // A written view can be read.
  operator Mat<const T>() const requires(!std::is_const_v<T>) {
    return Mat<const T>(data_, rows_, cols_, stride_);
  }

  T* data() const { return data_; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }
  size_t stride() const { return stride_; }
  T* row(size_t r) const { return data_ + r * stride_; }
  T& operator()(size_t r, size_t c) const { return data_[r * stride_ + c]; }

  Mat Rows(size_t begin, size_t count) const {
    MVLM_CHECK(begin <= rows_ && count <= rows_ - begin, "rows [{}, +{}) of {}", begin, count, rows_);
    return Mat(row(begin), count, cols_, stride_);
  }
  Mat Cols(size_t begin, size_t count) const {
    MVLM_CHECK(begin <= cols_ && count <= cols_ - begin, "columns [{}, +{}) of {}", begin, count, cols_);
    return Mat(data_ + begin, rows_, count, stride_);
  }

 private:
  T* data_ = nullptr;
  size_t rows_ = 0;
  size_t cols_ = 0;
  size_t stride_ = 0;
};

template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size) { Reserve(size); }

  // At least `size` elements, contents not kept when it grows; the old pointer is then invalid.
  T* Reserve(size_t size) {
    if (size > capacity_) {
      const size_t bytes = (size * sizeof(T) + 63) / 64 * 64;
      data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
      MVLM_CHECK(data_ != nullptr, "out of memory: {} bytes", bytes);
      capacity_ = size;
    }
    return data_.get();
  }
  Mat<T> ReserveMat(size_t rows, size_t cols) { return Mat<T>(Reserve(rows * cols), rows, cols); }
  T* data() const { return data_.get(); }
  size_t capacity() const { return capacity_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t capacity_ = 0;
};

}  // namespace mobilevlm

/** Raw deflate (RFC 1951) with a bound on what comes out, so that a small frame cannot become a large memory. */

import { Inflate } from 'fflate';

/** The payload is not raw deflate, or grows beyond the bound. */
export class InflateError extends Error {}

/** Inflated bytes of one message; 64 MiB of events is some hundred times an ordinary page. */
export const INFLATED_BYTES_MAX = 64 * 1024 * 1024;

/** @throws {InflateError} when `bytes` is no raw deflate stream or yields more than `limit` bytes. */
export function inflateRaw(bytes: Uint8Array, limit: number = INFLATED_BYTES_MAX): Uint8Array {
  const parts: Uint8Array[] = [];
  let total = 0;
  const stream = new Inflate((part) => {
    total += part.length;
    if (total > limit) {
      throw new InflateError(`more than ${limit} bytes`);
    }
    parts.push(part);
  });
  // In slices: the bound is checked between them, so no more than one slice's worth is ever inflated in vain.
  const slice = 64 * 1024;
  try {
    for (let at = 0; at < bytes.length || at === 0; at += slice) {
      stream.push(bytes.subarray(at, at + slice), at + slice >= bytes.length);
    }
  } catch (error) {
    throw error instanceof InflateError ? error : new InflateError(String(error));
  }
  return join(parts, total);
}

function join(parts: readonly Uint8Array[], total: number): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) {
    return only;
  }
  const whole = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

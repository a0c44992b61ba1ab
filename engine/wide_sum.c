#include "engine/wide_sum.h"

#include <assert.h>

enum { LIMBS = 5, LIMB_BITS = 64 };
static const int64_t most = INT64_C(1000000000000000000); // 10^18

// An unsigned number, lowest limb first. 192 bits times 10^18 take 252.
struct number {
    uint64_t limbs[LIMBS];
};

static struct number number_of(k2_uint128 low, uint64_t high)
{
    return (struct number){{(uint64_t)low, (uint64_t)(low >> LIMB_BITS), high}};
}

static void multiply(struct number *number, uint64_t factor)
{
    k2_uint128 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (k2_uint128)number->limbs[i] * factor;
        number->limbs[i] = (uint64_t)carry;
        carry >>= LIMB_BITS;
    }
}

static int compare(const struct number *left, const struct number *right)
{
    for (int i = LIMBS - 1; i >= 0; i--) {
        if (left->limbs[i] != right->limbs[i]) {
            return left->limbs[i] < right->limbs[i] ? -1 : 1;
        }
    }
    return 0;
}

static void subtract(struct number *number, const struct number *other)
{
    uint64_t borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        k2_uint128 taken = (k2_uint128)other->limbs[i] + borrow;
        borrow = number->limbs[i] < taken;
        number->limbs[i] -= (uint64_t)taken;
    }
}

static void shift_in(struct number *number, unsigned bit)
{
    for (int i = LIMBS - 1; i > 0; i--) {
        number->limbs[i] = number->limbs[i] << 1 | number->limbs[i - 1] >> (LIMB_BITS - 1);
    }
    number->limbs[0] = number->limbs[0] << 1 | bit;
}

// Bit by bit; the short way below is for nearly all.
static void divide_long(const struct number *number, const struct number *divisor,
                        struct number *quotient, struct number *rest)
{
    *quotient = *rest = (struct number){{0}};
    for (int bit = LIMBS * LIMB_BITS - 1; bit >= 0; bit--) {
        shift_in(rest, number->limbs[bit / LIMB_BITS] >> bit % LIMB_BITS & 1);
        bool fits = compare(rest, divisor) >= 0;
        if (fits) {
            subtract(rest, divisor);
        }
        shift_in(quotient, fits);
    }
}

// The quotient of magnitudes, or a number that is too large.
static uint64_t divide(struct number number, struct number divisor)
{
    struct number quotient, rest;
    divide_long(&number, &divisor, &quotient, &rest);
    if ((quotient.limbs[1] | quotient.limbs[2] | quotient.limbs[3] | quotient.limbs[4]) != 0 ||
        quotient.limbs[0] > (uint64_t)most) {
        return UINT64_MAX;
    }
    struct number left = divisor; // what is missing to the next one
    subtract(&left, &rest);
    int half = compare(&rest, &left);
    return quotient.limbs[0] + (half > 0 || (half == 0 && quotient.limbs[0] % 2 != 0));
}

static uint64_t divide_short(k2_uint128 number, k2_uint128 divisor)
{
    k2_uint128 quotient = number / divisor, rest = number - quotient * divisor;
    k2_uint128 left = divisor - rest; // what is missing to the next one
    if (quotient > (k2_uint128)most) {
        return UINT64_MAX;
    }
    return (uint64_t)quotient + (rest > left || (rest == left && quotient % 2 != 0));
}

static uint64_t power_of_ten(unsigned exponent)
{
    uint64_t power = 1;
    for (; exponent > 0; exponent--) {
        power *= 10;
    }
    return power;
}

bool k2_wide_sum_divide(const struct k2_wide_sum *sum, k2_int128 divisor, unsigned up,
                        unsigned down, int64_t *quotient)
{
    assert(up <= 18);
    assert(down <= 18);
    if (divisor == 0) {
        return false;
    }
    bool negative = (sum->high < 0) != (divisor < 0);
    k2_uint128 low = sum->high < 0 ? -sum->low : sum->low;
    uint64_t high = sum->high < 0 ? ~(uint64_t)sum->high + (sum->low == 0) : (uint64_t)sum->high;
    k2_uint128 below = divisor < 0 ? -(k2_uint128)divisor : (k2_uint128)divisor;
    uint64_t magnitude;
    if (high == 0 && up == 0 && down == 0) {
        magnitude = divide_short(low, below);
    } else {
        struct number number = number_of(low, high), other = number_of(below, 0);
        multiply(&number, power_of_ten(up));
        multiply(&other, power_of_ten(down));
        magnitude = divide(number, other);
    }
    if (magnitude >= (uint64_t)most) {
        return false;
    }
    *quotient = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

#include <stdio.h>

struct point {
    int x;
    double y;
};

static double area(const struct point *at, int count)
{
    double sum = 0;
    for (int i = 0; i + 1 < count; i++)
        sum += at[i].x * at[i + 1].y - at[i + 1].x * at[i].y;
    return sum / 2;
}

int main(void)
{
    struct point corners[] = {{0, 0}, {4, 0.5}, {3, 5.25}, {0, 2}, {0, 0}};
    printf("area %.3f\n", area(corners, 5));
    return 0;
}

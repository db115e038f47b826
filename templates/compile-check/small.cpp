#include <cstdio>
#include <stdexcept>
#include <string>

template <typename T> T largest(const T *from, int count)
{
    if (count < 1)
        throw std::invalid_argument("nothing to choose from");
    T found = from[0];
    for (int i = 1; i < count; i++)
        if (found < from[i])
            found = from[i];
    return found;
}

int main()
{
    const std::string words[] = {"make", "object", "link"};
    std::string line = "largest " + largest(words, 3);
    try {
        largest<int>(nullptr, 0);
    } catch (const std::exception &wrong) {
        line += std::string(", ") + wrong.what();
    }
    std::puts(line.c_str());
}

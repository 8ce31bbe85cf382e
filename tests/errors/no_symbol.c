/* A shared object that is no plugin. */
int nothing_of_cambium(void);
int nothing_of_cambium(void)
{
    return 1;
}

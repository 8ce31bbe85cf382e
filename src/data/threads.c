/* threads.c: a job over many items: threads take the next item until none is left. */
#include "data/threads.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64

struct job {
    bool (*work)(void *context, uint32_t i);
    void *context;
    uint32_t count;
    atomic_uint next, done;
    atomic_bool stopped;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    uint32_t running;
};

uint32_t cb__processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) {
        return (uint32_t)CPU_COUNT(&set);
    }
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}

static void work_through(struct job *job)
{
    uint32_t i;
    while (!atomic_load(&job->stopped) && (i = atomic_fetch_add(&job->next, 1)) < job->count) {
        if (!job->work(job->context, i)) {
            atomic_store(&job->stopped, true);
        }
        atomic_fetch_add(&job->done, 1);
    }
}

static void *run(void *argument)
{
    struct job *job = argument;
    work_through(job);
    pthread_mutex_lock(&job->lock);
    job->running--;
    pthread_cond_signal(&job->ended);
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

/* Until all threads have ended, or 0.2 s have passed; false in the first case. */
static bool wait_a_little(struct job *job)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 200000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&job->lock);
    int result = 0;
    while (job->running > 0 && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&job->ended, &job->lock, &until);
    }
    bool running = job->running > 0;
    pthread_mutex_unlock(&job->lock);
    return running;
}

bool cb__parallel(uint32_t count, bool (*work)(void *context, uint32_t i), void *context, cb_progress progress,
                  void *progress_context)
{
    struct job job = {.work = work, .context = context, .count = count};
    pthread_t threads[MAX_THREADS];
    uint32_t wanted = cb__processors(), started = 0;
    wanted = wanted > MAX_THREADS ? MAX_THREADS : wanted;
    wanted = wanted > count ? count : wanted;
    pthread_mutex_init(&job.lock, NULL);
    pthread_cond_init(&job.ended, NULL);
    while (started < wanted) {
        pthread_mutex_lock(&job.lock);
        job.running++;
        pthread_mutex_unlock(&job.lock);
        if (pthread_create(&threads[started], NULL, run, &job) != 0) {
            pthread_mutex_lock(&job.lock);
            job.running--;
            pthread_mutex_unlock(&job.lock);
            break;
        }
        started++;
    }
    if (started == 0) {
        work_through(&job);
    }
    while (wait_a_little(&job)) {
        if (progress && !progress(progress_context, atomic_load(&job.done), count)) {
            atomic_store(&job.stopped, true);
        }
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_cond_destroy(&job.ended);
    pthread_mutex_destroy(&job.lock);
    return !atomic_load(&job.stopped);
}

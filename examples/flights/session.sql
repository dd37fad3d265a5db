-- The demo's session: Python inside the sqlite3 shell. By hand, from the
-- repository:
--   sqlite3 output/flights.db < examples/flights/session.sql

-- 1. Load the library. Python starts on first use, inside this process.
.load pybridge/libpybridge
select py_version();

-- 2. A query becomes a pandas DataFrame, without a driver in between.
select py_exec('
import numpy as np, pandas as pd, sqlite3
from time import perf_counter

QUERY = "select * from flights"
start = perf_counter()
');
select py_query('select * from flights', 'flights') as rows;
select py_exec('seconds = perf_counter() - start');

-- The same query of the same file by pandas.read_sql; both frames must be
-- equal.
select py_exec('
connection = sqlite3.connect("file:output/flights.db?mode=ro", uri=True)
start = perf_counter()
expected = pd.read_sql(QUERY, connection)
usual = perf_counter() - start
connection.close()

pd.testing.assert_frame_equal(flights, expected, check_dtype=False)
print(f"py_query          {seconds:6.3f} s")
print(f"pandas.read_sql   {usual:6.3f} s   "
      f"{usual / seconds:.0f} times as long, equal frames")
');

-- 3. Python functions become SQL functions: one scalar, one aggregate.
select py_exec('
def part_of_day(hour):
    return ("night", "morning", "afternoon", "evening")[hour // 6]
');
select py_define('part_of_day', 'scalar', 'part_of_day');
select py_define('median', 'aggregate', 'np.median');
.mode box
select part_of_day(hour) as departure, count(*) as flights,
       median(dep_delay) as median_delay,
       round(avg(dep_delay), 1) as mean_delay
  from flights where dep_delay is not null group by 1 order by 4;
.mode list

-- 4. A linear model of the delay on arrival, from what is known at
-- departure, fitted by numpy on a joined query: four flights in five; the
-- fifth is for testing it.
select py_query('
  select f.rowid as id, f.carrier, f.dep_delay, f.hour, f.distance,
         f.air_time, w.wind_speed, w.precip, w.visib, w.humid, w.temp,
         f.arr_delay
    from flights f join weather w using (origin, time_hour)
   where f.arr_delay is not null', 'known') as rows;
select py_exec('
known = known.dropna().reset_index(drop=True)
inputs = ["dep_delay", "hour", "distance", "wind_speed", "precip",
          "visib"]

def design(frame):
    carriers = pd.get_dummies(frame["carrier"], dtype=float)
    return np.column_stack([frame[inputs].to_numpy(float),
                            carriers.to_numpy()])

train = known["id"].to_numpy() % 5 != 0
X, y = design(known), known["arr_delay"].to_numpy(float)
weights = np.linalg.lstsq(X[train], y[train], rcond=None)[0]
error = y - X @ weights
r2 = 1 - error[~train].var() / y[~train].var()
print(f"fitted on {train.sum():,} flights; "
      f"R² = {r2:.3f} on the other {(~train).sum():,}")
for name, weight in zip(inputs, weights):
    print(f"  {weight:+9.3f} minutes for one more of {name}")
');

-- 5. The predictions go back as a table, in one transaction, and SQL takes
-- over.
select py_exec('
predicted = known.loc[~train, ["id", "arr_delay"]]
predicted["predicted"] = (X[~train] @ weights).round(1)
');
select py_write('predicted', 'predictions', 'replace') as rows_written;
.mode box
select name as airline, count(*) as flights,
       round(avg(p.arr_delay), 1) as delay,
       round(avg(p.predicted), 1) as predicted,
       round(avg(abs(p.arr_delay - p.predicted)), 1) as mean_error
  from predictions p join flights f on f.rowid = p.id
  join airlines using (carrier)
 group by name order by delay desc limit 6;
.mode list

-- 6. A picture of what goes with what.
select py_exec('
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

labels = {
    "dep_delay": "departure delay", "arr_delay": "arrival delay",
    "hour": "hour of day", "distance": "distance",
    "air_time": "air time", "temp": "temperature", "humid": "humidity",
    "precip": "rain", "visib": "visibility", "wind_speed": "wind",
}
matrix = known[list(labels)].corr().to_numpy()
size = len(labels)
figure, axes = plt.subplots(figsize=(8.6, 7.4), layout="constrained")
upper = np.triu(np.ones_like(matrix, bool))
shown = np.ma.masked_where(upper, matrix)[1:, :-1]
image = axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1)
for row, column in zip(*np.tril_indices(size, -1)):
    strong = abs(matrix[row, column]) > 0.5
    words = f"{matrix[row, column]:+.2f}".replace("-", "−")
    axes.text(column, row - 1, words, ha="center", va="center",
              fontsize=9, color="white" if strong else "#333333")
names = list(labels.values())
axes.set_xticks(range(size - 1), names[:-1], rotation=40, ha="right")
axes.set_yticks(range(size - 1), names[1:])
axes.tick_params(length=0)
axes.spines[:].set_visible(False)
axes.set_title(
    "Flights from New York City, 2013: what goes with what\n"
    f"correlation over {len(known):,} flights and the weather then",
    loc="left", fontsize=12, pad=12)
bar = figure.colorbar(image, ax=axes, shrink=0.7, label="correlation")
bar.outline.set_visible(False)
figure.savefig("output/correlations.png", dpi=150)
');
